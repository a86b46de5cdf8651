/**
 * The table of refusals: each command, each reason to refuse it, and the code that the client is told, the same at
 * every door. What a schema alone refuses is not written down but made from it: bad_inputs.ts.
 */
import type { CommandName } from "../../src/protocol/commands.ts";
import type { ErrorCode } from "../../src/protocol/errors.ts";
import type { Json } from "../helpers/doors.ts";
import { ABSENT, type Person, type Scene } from "./scene.ts";

export const REASONS = [
  "not signed in",
  /** Of a room that one may know of: 403. */
  "not a member",
  /** A private room, another course's, others' direct room: 404, as if it were not there. */
  "unknown to you",
  "absent",
  "gone room",
  "banned",
  "lost course",
  "blocked",
  "muted",
  "wrong role",
  "direct room",
  "present state",
  // made from the schema, with some by hand
  "bad field",
  "missing field",
  "too long",
  "wrong type",
  "unknown key",
] as const;
export type Reason = (typeof REASONS)[number];

export interface Refusal {
  command: CommandName;
  reason: Reason;
  by: Person;
  code: ErrorCode;
  input: (scene: Scene) => Json;
  /** `details.field` of the error. */
  field?: string;
}

type Rest = readonly [by: Person, code: ErrorCode, input: (scene: Scene) => Json, field?: string];

/** One row for each command, with what all of them share. */
function rows(reason: Reason, table: Partial<Record<CommandName, Rest | readonly Rest[]>>): Refusal[] {
  return Object.entries(table).flatMap(([command, cell]) => {
    const cells = (Array.isArray(cell[0]) ? cell : [cell]) as readonly Rest[];
    return cells.map(([by, code, input, field]) => ({
      command: command as CommandName,
      reason,
      by,
      code,
      input,
      ...(field === undefined ? {} : { field }),
    }));
  });
}

const TEXT = { content: "let me in" };
type RoomName = keyof Scene["rooms"];

/** Every command that names a room, in one that `by` may not act in. */
function roomRows(
  by: Person,
  code: ErrorCode,
  room: RoomName | "absent",
): Partial<Record<CommandName, Rest>> {
  const row = (more: Json = {}): Rest => [
    by,
    code,
    (scene) => ({ roomId: room === "absent" ? ABSENT : scene.rooms[room], ...more }),
  ];
  return {
    get_room: row(),
    update_room: row({ name: "mine" }),
    delete_room: row(),
    join_room: row(),
    leave_room: row({ membership: true }),
    list_members: row(),
    add_member: row({ userId: "friend" }),
    update_member: row({ userId: "member", isMuted: true }),
    remove_member: row({ userId: "member" }),
    send_message: row(TEXT),
    list_messages: row(),
    search_messages: row({ query: "here" }),
  };
}

function messageRows(
  by: Person,
  code: ErrorCode,
  idIn: (scene: Scene) => string,
): Partial<Record<CommandName, Rest>> {
  return {
    update_message: [by, code, (scene) => ({ messageId: idIn(scene), ...TEXT })],
    delete_message: [by, code, (scene) => ({ messageId: idIn(scene) })],
    mark_as_read: [by, code, (scene) => ({ messageId: idIn(scene) })],
  };
}

const without = <T extends object>(table: T, ...names: (keyof T)[]): Partial<T> => {
  const left: Partial<T> = { ...table };
  for (const name of names) delete left[name];
  return left;
};

const reply = (to: keyof Scene["messages"] | "absent") => (scene: Scene): Json => ({
  roomId: scene.rooms.open,
  ...TEXT,
  replyToId: to === "absent" ? ABSENT : scene.messages[to],
});
const inOpen = (more: Json) => (scene: Scene): Json => ({ roomId: scene.rooms.open, ...more });
const inRoom = (room: RoomName, more: Json = {}) => (scene: Scene): Json => ({
  roomId: scene.rooms[room],
  ...more,
});
const message = (name: keyof Scene["messages"], more: Json = {}) => (scene: Scene): Json => ({
  messageId: scene.messages[name],
  ...more,
});

export const REFUSALS: readonly Refusal[] = [
  ...rows("not a member", {
    ...without(roomRows("stranger", "forbidden", "open"), "get_room", "join_room"),
    ...messageRows("left", "not_found", (scene) => scene.messages.ofLeft),
  }),
  ...rows("not a member", without(roomRows("left", "forbidden", "open"), "get_room", "join_room")),
  ...rows("unknown to you", {
    ...roomRows("stranger", "not_found", "closed"),
    ...messageRows("stranger", "not_found", (scene) => scene.messages.inClosed),
  }),
  ...rows("unknown to you", {
    ...roomRows("stranger", "not_found", "course"),
    ...messageRows("stranger", "not_found", (scene) => scene.messages.inCourse),
  }),
  ...rows("unknown to you", {
    ...roomRows("stranger", "not_found", "direct"),
    ...messageRows("stranger", "not_found", (scene) => scene.messages.direct),
  }),
  ...rows("unknown to you", {
    ...roomRows("platformAdmin", "not_found", "direct"),
    ...messageRows("platformAdmin", "not_found", (scene) => scene.messages.direct),
  }),
  ...rows("absent", {
    ...roomRows("platformAdmin", "not_found", "absent"),
    ...messageRows("owner", "not_found", () => ABSENT),
  }),
  ...rows("absent", {
    add_member: ["owner", "not_found", inOpen({ userId: "nobody" }), "userId"],
    update_member: [
      ["owner", "not_found", inOpen({ userId: "nobody", isMuted: true }), "userId"],
      ["owner", "not_found", inOpen({ userId: "nobody", isBlocked: true }), "userId"],
      ["owner", "not_found", inOpen({ userId: "stranger", role: "ADMIN" }), "userId"],
      ["owner", "not_found", inOpen({ userId: "stranger", isBlocked: false }), "userId"],
      ["owner", "not_found", inOpen({ userId: "left", isMuted: true }), "userId"],
    ],
    remove_member: [
      ["owner", "not_found", inOpen({ userId: "nobody" }), "userId"],
      ["owner", "not_found", inOpen({ userId: "left" }), "userId"],
    ],
    send_message: ["member", "invalid_request", reply("absent"), "replyToId"],
    send_direct_message: ["member", "not_found", () => ({ recipientId: "nobody", ...TEXT }), "recipientId"],
    list_direct_messages: ["member", "not_found", () => ({ userId: "nobody" }), "userId"],
    block_user: ["member", "not_found", () => ({ userId: "nobody" }), "userId"],
    update_message: ["member", "not_found", message("deleted", TEXT)],
  }),
  ...rows("gone room", {
    ...roomRows("owner", "not_found", "gone"),
    ...messageRows("member", "not_found", (scene) => scene.messages.inGone),
  }),
  ...rows("gone room", roomRows("platformAdmin", "not_found", "gone")),
  ...rows("banned", {
    ...roomRows("banned", "banned", "open"),
    ...messageRows("banned", "not_found", (scene) => scene.messages.ofBanned),
  }),
  ...rows("lost course", {
    ...roomRows("suspended", "not_found", "course"),
    ...messageRows("suspended", "not_found", (scene) => scene.messages.ofSuspended),
  }),
  ...rows("blocked", {
    send_direct_message: [
      ["blocked", "blocked", () => ({ recipientId: "member", ...TEXT })],
      ["member", "blocked", () => ({ recipientId: "blocked", ...TEXT })],
    ],
    send_message: [
      ["blocked", "blocked", inRoom("blockedDirect", TEXT)],
      ["member", "blocked", inRoom("blockedDirect", TEXT)],
    ],
    update_message: ["member", "blocked", message("blockedDirect", TEXT)],
  }),
  ...rows("muted", {
    send_message: ["muted", "muted", inOpen(TEXT)],
    update_message: ["muted", "muted", message("ofMuted", TEXT)],
  }),
  ...rows("wrong role", {
    create_room: [
      ["pupil", "forbidden", () => ({ name: "ours", type: "COURSE", courseId: "greek" }), "courseId"],
      ["teacher", "forbidden", () => ({ name: "ours", type: "COURSE", courseId: "hebrew" }), "courseId"],
      ["stranger", "forbidden", () => ({ name: "ours", type: "COURSE" }), "courseId"],
    ],
    update_room: [
      ["member", "forbidden", inOpen({ name: "mine" })],
      ["moderator", "forbidden", inOpen({ name: "mine" })],
    ],
    delete_room: [
      ["member", "forbidden", inOpen({})],
      ["roomAdmin", "forbidden", inOpen({})],
    ],
    list_members: [
      ["member", "forbidden", inOpen({ status: "banned" })],
      ["muted", "forbidden", inOpen({ status: "banned" })],
    ],
    add_member: [
      ["member", "forbidden", inRoom("closed", { userId: "friend" })],
      ["member", "forbidden", inOpen({ userId: "friend", role: "MODERATOR" })],
      ["moderator", "forbidden", inOpen({ userId: "friend", role: "MODERATOR" })],
      ["roomAdmin", "forbidden", inOpen({ userId: "friend", role: "OWNER" })],
    ],
    update_member: [
      ["member", "forbidden", inOpen({ userId: "muted", isMuted: false })],
      ["member", "forbidden", inOpen({ userId: "member", role: "OWNER" })],
      ["muted", "forbidden", inOpen({ userId: "muted", isMuted: false })],
      ["moderator", "forbidden", inOpen({ userId: "member", role: "MODERATOR" })],
      ["moderator", "forbidden", inOpen({ userId: "moderator", role: "ADMIN" })],
      ["moderator", "forbidden", inOpen({ userId: "roomAdmin", isMuted: true })],
      ["moderator", "forbidden", inOpen({ userId: "owner", isBlocked: true })],
      ["roomAdmin", "forbidden", inOpen({ userId: "member", role: "ADMIN" })],
      ["roomAdmin", "forbidden", inOpen({ userId: "roomAdmin", role: "OWNER" })],
      ["roomAdmin", "forbidden", inOpen({ userId: "owner", role: "MEMBER" })],
      ["owner", "forbidden", inOpen({ userId: "owner", isBlocked: true })],
    ],
    remove_member: [
      ["member", "forbidden", inOpen({ userId: "muted" })],
      ["moderator", "forbidden", inOpen({ userId: "roomAdmin" })],
      ["moderator", "forbidden", inOpen({ userId: "moderator" })],
      ["roomAdmin", "forbidden", inOpen({ userId: "owner" })],
    ],
    update_message: [
      ["owner", "forbidden", message("ofMember", TEXT)],
      ["friend", "forbidden", message("direct", TEXT)],
    ],
    delete_message: [
      ["member", "forbidden", message("ofOwner")],
      ["friend", "forbidden", message("direct")],
    ],
  }),
  ...rows("wrong role", {
    update_message: ["platformAdmin", "not_found", message("ofMember", TEXT)],
  }),
  ...rows("direct room", {
    update_room: ["member", "forbidden", inRoom("direct", { name: "ours" })],
    delete_room: ["member", "forbidden", inRoom("direct")],
    leave_room: ["member", "forbidden", inRoom("direct", { membership: true })],
    add_member: ["member", "forbidden", inRoom("direct", { userId: "owner" })],
    update_member: ["member", "forbidden", inRoom("direct", { userId: "friend", isMuted: true })],
    remove_member: ["member", "forbidden", inRoom("direct", { userId: "friend" })],
  }),
  ...rows("present state", {
    join_room: ["stranger", "room_full", inRoom("full")],
    leave_room: ["owner", "last_owner", inOpen({ membership: true })],
    add_member: [
      ["owner", "room_full", inRoom("full", { userId: "friend" })],
      ["owner", "conflict", inOpen({ userId: "banned" }), "userId"],
      ["teacher", "conflict", inRoom("course", { userId: "stranger" }), "userId"],
    ],
    update_member: ["owner", "last_owner", inOpen({ userId: "owner", role: "ADMIN" })],
    remove_member: [
      ["owner", "last_owner", inOpen({ userId: "owner" })],
      ["platformAdmin", "last_owner", inOpen({ userId: "owner" })],
    ],
    update_room: ["owner", "conflict", inOpen({ maxMembers: 2 }), "maxMembers"],
  }),
  ...rows("bad field", {
    create_room: [
      ["teacher", "invalid_request", () => ({ name: "a", courseId: "greek" }), "courseId"],
      ["platformAdmin", "invalid_request", () => ({ name: "a", type: "COURSE" }), "courseId"],
      ["owner", "invalid_request", () => ({ name: "a", type: "PUBLIC", isPrivate: true }), "isPrivate"],
      ["owner", "invalid_request", () => ({ name: "a", type: "PRIVATE", isPrivate: false }), "isPrivate"],
      ["owner", "invalid_request", () => ({ name: " \n\t\u0007 " }), "name"],
      ["owner", "invalid_request", () => ({ name: "a", type: "DIRECT" }), "type"],
    ],
    update_room: [
      ["owner", "invalid_request", inOpen({}), "name"],
      ["owner", "invalid_request", inOpen({ isPrivate: true }), "isPrivate"],
      ["owner", "invalid_request", inRoom("closed", { isPrivate: false }), "isPrivate"],
    ],
    update_member: [
      ["owner", "invalid_request", inOpen({ userId: "member" }), "role"],
      ["owner", "invalid_request", inOpen({ userId: "member", isBlocked: true, isMuted: true }), "isBlocked"],
    ],
    send_message: [
      ["member", "invalid_request", reply("inClosed"), "replyToId"],
      ["member", "invalid_request", reply("direct"), "replyToId"],
      ["member", "invalid_request", inOpen({ content: "" }), "content"],
      ["member", "invalid_request", inOpen({ content: " \n\t " }), "content"],
      ["member", "invalid_request", inOpen({ content: "\u0000\u0007\u009f" }), "content"],
      ["member", "invalid_request", inOpen({ ...TEXT, clientMessageId: "a\u0000b" }), "clientMessageId"],
      ["member", "invalid_request", inOpen({ ...TEXT, clientMessageId: "a\ud800b" }), "clientMessageId"],
      ["member", "invalid_request", inOpen({ ...TEXT, clientMessageId: "a\nb" }), "clientMessageId"],
    ],
    update_message: [
      ["member", "invalid_request", message("ofMember", { content: "" }), "content"],
      ["member", "invalid_request", message("ofMember", { content: "\r \u0000" }), "content"],
    ],
    send_direct_message: [
      ["member", "invalid_request", () => ({ recipientId: "friend", content: " " }), "content"],
      ["member", "invalid_request", () => ({ recipientId: "a\u0000", ...TEXT }), "recipientId"],
      [
        "member",
        "invalid_request",
        (scene) => ({ recipientId: "friend", ...TEXT, replyToId: scene.messages.ofMember }),
        "replyToId",
      ],
    ],
    list_messages: ["member", "invalid_request", inOpen({ before: 3, after: 1 }), "before"],
    list_direct_messages: [
      ["member", "invalid_request", () => ({ userId: "friend", around: 1, after: 1 }), "before"],
      ["member", "invalid_request", () => ({ userId: "a\u0007b" }), "userId"],
    ],
    search_messages: [
      ["member", "invalid_request", () => ({ query: " \t " }), "query"],
      ["member", "invalid_request", () => ({ query: "here", senderId: "\u0000" }), "senderId"],
    ],
    block_user: [
      ["member", "invalid_request", () => ({ userId: "member" }), "userId"],
      ["member", "invalid_request", () => ({ userId: "a\u0000b" }), "userId"],
    ],
    unblock_user: ["member", "invalid_request", () => ({ userId: "a\u009fb" }), "userId"],
    add_member: ["owner", "invalid_request", inOpen({ userId: "a\u0000b" }), "userId"],
    remove_member: ["owner", "invalid_request", inOpen({ userId: "a\nb" }), "userId"],
  }),
  ...rows("too long", {
    send_message: [
      ["member", "invalid_request", inOpen({ content: "x".repeat(5_001) }), "content"],
      ["member", "invalid_request", inOpen({ content: "🕊".repeat(5_001) }), "content"],
    ],
    update_message: [
      "member",
      "invalid_request",
      message("ofMember", { content: "x".repeat(5_001) }),
      "content",
    ],
    send_direct_message: [
      "member",
      "invalid_request",
      () => ({ recipientId: "friend", content: "é".repeat(5_001) }),
      "content",
    ],
  }),
];
