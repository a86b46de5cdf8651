/**
 * A change: one durable step of a room's sequence or of a user's inbox, as the write functions answer it and
 * as a repair reads it back: where it stands, and the row as clients see it, already JSON.
 */
import type { RoomId, UserId } from "../protocol/ids.ts";

/** The two users of a direct room and the place of this change in the inbox of each. */
export interface DirectPlaces {
  low: UserId;
  high: UserId;
  inboxLow: number;
  inboxHigh: number;
}

export interface MessageChange {
  kind: "message";
  roomId: RoomId;
  seq: number;
  /** The seq that the message was made with: equal to `seq` while it has never changed. */
  firstSeq: number;
  ended: boolean;
  json: string;
  /** Of one whose state has changed, and the message with it: the wire's Attachment. Live only. */
  attachment?: string;
  direct: DirectPlaces | undefined;
}

export interface MembershipChange {
  kind: "membership";
  roomId: RoomId;
  seq: number;
  /** The seq at which it began, or ended. */
  firstSeq: number;
  ended: boolean;
  userId: UserId;
  json: string;
}

export interface RoomFieldsChange {
  kind: "room";
  roomId: RoomId;
  seq: number;
  ended: boolean;
  json: string;
  direct: DirectPlaces | undefined;
}

export type RoomChange = MessageChange | MembershipChange | RoomFieldsChange;

export interface InboxChange {
  kind: "inbox";
  roomId: RoomId;
  userId: UserId;
  /** Of the user's inbox. */
  seq: number;
  word: "created" | "added" | "updated" | "removed";
  reason: string | null;
  /** The room and the user's own membership; null once removed. */
  json: string | null;
  member: string | null;
}

export type Change = RoomChange | InboxChange;

interface RawChange extends Record<string, unknown> {
  low?: UserId | null;
  high?: UserId | null;
  inboxLow?: number | null;
  inboxHigh?: number | null;
}

/** What a write function answers: a code for what it refuses, else the changes it made. */
export interface WriteAnswer {
  code: string | null;
  changes?: RawChange[];
}

export function changesOf(answer: WriteAnswer): Change[] {
  return (answer.changes ?? []).map((raw) => {
    const { low, high, inboxLow, inboxHigh, ...rest } = raw;
    const direct = typeof inboxLow === "number" && low && high
      ? { low, high, inboxLow, inboxHigh: inboxHigh ?? inboxLow }
      : undefined;
    return { ...rest, direct } as unknown as Change;
  });
}
