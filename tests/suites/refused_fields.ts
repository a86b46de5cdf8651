/** Fields that are refused for what they say, though their schema has nothing against them. */
import type { CommandName } from "../../src/protocol/commands.ts";
import { toCursor } from "./cursors.ts";
import {
  inOpen,
  inRoom,
  type InScene,
  message,
  type Refusal,
  reply,
  type Rest,
  rows,
  TEXT,
} from "./refusal_rows.ts";
import { ABSENT } from "./scene.ts";

/** A cursor is what the server gave, of this list; what could not be one is refused. */
function forgedCursors(
  lists: Partial<Record<CommandName, InScene>>,
): Partial<Record<CommandName, readonly Rest[]>> {
  const forged = [
    "x",
    "e30",
    "!!!!",
    ABSENT,
    toCursor([]),
    toCursor(["a", "b", "c"]),
    toCursor([7]),
    toCursor(["\u0000"]),
  ];
  return Object.fromEntries(
    Object.entries(lists).map(([command, input]) => [
      command,
      forged.map((
        cursor,
      ): Rest => ["member", "invalid_request", (scene) => ({ ...input(scene), cursor }), "cursor"]),
    ]),
  );
}

export const REFUSED_FIELDS: readonly Refusal[] = [
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
      ["member", "invalid_request", inOpen({}), "content"],
      ["member", "invalid_request", inOpen({ attachmentIds: [ABSENT] }), "attachmentIds"],
      ["member", "invalid_request", inOpen({ attachmentIds: [ABSENT, ABSENT] }), "attachmentIds"],
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
    ...forgedCursors({
      list_rooms: () => ({}),
      discover_rooms: () => ({}),
      list_members: inOpen({}),
      search_messages: () => ({ query: "here" }),
      list_conversations: () => ({}),
    }),
    update_status: [
      ["member", "invalid_request", () => ({}), "status"],
      ["member", "invalid_request", () => ({ status: "offline" }), "status"],
      ["member", "invalid_request", () => ({ customStatus: { text: " " } }), "customStatus.text"],
      [
        "member",
        "invalid_request",
        () => ({ customStatus: { text: "out", expiresAt: "2020-01-01T00:00:00Z" } }),
        "customStatus.expiresAt",
      ],
      [
        "member",
        "invalid_request",
        () => ({ customStatus: { text: "out", expiresAt: "soon" } }),
        "customStatus.expiresAt",
      ],
    ],
    user_status: ["member", "invalid_request", () => ({ userId: "a\u0000b" }), "userId"],
    watch_presence: ["member", "invalid_request", () => ({ userIds: ["a\nb"] }), "userIds.0"],
    list_readers: [
      "member",
      "invalid_request",
      (scene) => ({ messageId: scene.messages.ofOwner, cursor: "!!!!" }),
      "cursor",
    ],
    block_user: [
      ["member", "invalid_request", () => ({ userId: "member" }), "userId"],
      ["member", "invalid_request", () => ({ userId: "a\u0000b" }), "userId"],
    ],
    unblock_user: ["member", "invalid_request", () => ({ userId: "a\u009fb" }), "userId"],
    add_member: ["owner", "invalid_request", inOpen({ userId: "a\u0000b" }), "userId"],
    remove_member: ["owner", "invalid_request", inOpen({ userId: "a\nb" }), "userId"],
  }),
  ...rows("bad field", {
    search_messages: [
      ["member", "invalid_request", () => ({ query: " \t " }), "query"],
      ["member", "invalid_request", () => ({ query: "here", senderId: "\u0000" }), "senderId"],
    ],
  }),
  ...rows("too long", {
    update_status: [
      ["member", "invalid_request", () => ({ customStatus: { text: "x".repeat(101) } }), "customStatus.text"],
      [
        "member",
        "invalid_request",
        () => ({ customStatus: { text: "x", emoji: "🕊".repeat(33) } }),
        "customStatus.emoji",
      ],
    ],
    watch_presence: ["member", "invalid_request", () => ({ userIds: new Array(501).fill("a") }), "userIds"],
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
