/**
 * Ids: branded strings, so that a room's id cannot stand where a user's should.
 * Rooms, messages and files have UUID version 7 made by the server (or, for messages, by
 * the door that first saw them), so ids sort by time and no database makes them.
 * A user's id is the `sub` of the identity provider, whatever that looks like.
 */
import { v7, validate } from "uuid";

export type RoomId = string & { readonly __id: "room" };
export type MessageId = string & { readonly __id: "message" };
export type AttachmentId = string & { readonly __id: "attachment" };
export type UserId = string & { readonly __id: "user" };
export type ConnectionId = string & { readonly __id: "connection" };
export type NodeId = string & { readonly __id: "node" };

export const newRoomId = (): RoomId => v7() as RoomId;
export const newMessageId = (): MessageId => v7() as MessageId;
export const newAttachmentId = (): AttachmentId => v7() as AttachmentId;
export const newConnectionId = (): ConnectionId => v7() as ConnectionId;
export const newNodeId = (): NodeId => v7() as NodeId;
export const newRequestId = (): string => v7();

/** True for any RFC 9562 UUID, in lower case only: one id has one spelling. */
export function isUuid(value: string): boolean {
  return validate(value) && value === value.toLowerCase();
}
