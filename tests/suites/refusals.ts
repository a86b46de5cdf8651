/**
 * The table of refusals: each command, each reason to refuse it, and the code that the client is told, the same at
 * every door. Faults of single fields: refused_fields.ts; what a schema alone refuses is made from it: bad_inputs.ts.
 */
import type { CommandName } from "../../src/protocol/commands.ts";
import type { ErrorCode } from "../../src/protocol/errors.ts";
import type { Json } from "../helpers/doors.ts";
import {
  inOpen,
  inRoom,
  message,
  type Refusal,
  reply,
  type Rest,
  type RoomName,
  rows,
  TEXT,
} from "./refusal_rows.ts";
import { REFUSED_FIELDS } from "./refused_fields.ts";
import { ABSENT, type Person, type Scene } from "./scene.ts";

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
    typing: row({ isTyping: true }),
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
    mark_as_unread: [by, code, (scene) => ({ messageId: idIn(scene) })],
    list_readers: [by, code, (scene) => ({ messageId: idIn(scene) })],
  };
}

const without = <T extends object>(table: T, ...names: (keyof T)[]): Partial<T> => {
  const left: Partial<T> = { ...table };
  for (const name of names) delete left[name];
  return left;
};

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
    user_status: ["member", "not_found", () => ({ userId: "nobody" }), "userId"],
    get_file_state: ["member", "not_found", () => ({ fileId: ABSENT })],
    get_file_link: ["member", "not_found", () => ({ fileId: ABSENT })],
    remove_file: ["member", "not_found", () => ({ fileId: ABSENT })],
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
    typing: ["blocked", "blocked", inRoom("blockedDirect", { isTyping: true })],
  }),
  ...rows("muted", {
    send_message: ["muted", "muted", inOpen(TEXT)],
    update_message: ["muted", "muted", message("ofMuted", TEXT)],
    typing: ["muted", "muted", inOpen({ isTyping: true })],
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
  ...REFUSED_FIELDS,
];
