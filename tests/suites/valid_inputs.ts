/** An input of each command that is valid, and who may well send it: what the made-up faults are put into. */
import type { CommandName } from "../../src/protocol/commands.ts";
import type { Json } from "../helpers/doors.ts";
import { ABSENT, type Person, type Scene } from "./scene.ts";

type Valid = readonly [by: Person, input: (scene: Scene) => Record<string, Json>];

export const VALID: Readonly<Record<CommandName, Valid>> = {
  authenticate: ["member", () => ({ token: "a.b.c" })],
  create_room: ["member", () => ({ name: "another" })],
  list_rooms: ["member", () => ({})],
  discover_rooms: ["member", () => ({})],
  get_room: ["member", ({ rooms }) => ({ roomId: rooms.open })],
  update_room: ["owner", ({ rooms }) => ({ roomId: rooms.open, name: "renamed" })],
  delete_room: ["owner", ({ rooms }) => ({ roomId: rooms.open })],
  join_room: ["friend", ({ rooms }) => ({ roomId: rooms.open })],
  leave_room: ["member", ({ rooms }) => ({ roomId: rooms.open, membership: true })],
  list_members: ["member", ({ rooms }) => ({ roomId: rooms.open })],
  add_member: ["owner", ({ rooms }) => ({ roomId: rooms.open, userId: "friend" })],
  update_member: ["owner", ({ rooms }) => ({ roomId: rooms.open, userId: "member", isMuted: true })],
  remove_member: ["owner", ({ rooms }) => ({ roomId: rooms.open, userId: "member" })],
  send_message: ["member", ({ rooms }) => ({ roomId: rooms.open, content: "hello" })],
  list_messages: ["member", ({ rooms }) => ({ roomId: rooms.open })],
  search_messages: ["member", () => ({ query: "here" })],
  update_message: ["member", ({ messages }) => ({ messageId: messages.ofMember, content: "edited" })],
  delete_message: ["member", ({ messages }) => ({ messageId: messages.ofMember })],
  get_file_state: ["member", () => ({ fileId: ABSENT })],
  get_file_link: ["member", () => ({ fileId: ABSENT })],
  remove_file: ["member", () => ({ fileId: ABSENT })],
  mark_as_read: ["member", ({ messages }) => ({ messageId: messages.ofOwner })],
  mark_as_unread: ["member", ({ messages }) => ({ messageId: messages.ofOwner })],
  list_readers: ["member", ({ messages }) => ({ messageId: messages.ofOwner })],
  unread_counts: ["member", () => ({})],
  typing: ["member", ({ rooms }) => ({ roomId: rooms.open, isTyping: true })],
  update_status: ["member", () => ({ status: "busy", customStatus: { text: "in a lecture" } })],
  user_status: ["member", () => ({ userId: "friend" })],
  online_count: ["member", () => ({})],
  watch_presence: ["member", () => ({ userIds: ["friend"] })],
  send_direct_message: ["member", () => ({ recipientId: "friend", content: "hello" })],
  list_conversations: ["member", () => ({})],
  list_direct_messages: ["member", () => ({ userId: "friend" })],
  sync: ["member", () => ({ positions: {} })],
  block_user: ["member", () => ({ userId: "friend" })],
  unblock_user: ["member", () => ({ userId: "friend" })],
  list_blocked: ["member", () => ({})],
};
