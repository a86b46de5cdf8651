/**
 * The one table of commands: input, output, and where REST has each. Routes, sockets, OpenAPI and AsyncAPI are
 * made from it; chat/commands.ts binds each to its rule.
 */
import { z } from "zod";
import * as limits from "./limits.ts";
import { MEMBER_ROLES, MESSAGE_TYPES } from "./models.ts";
import * as s from "./schemas.ts";

export interface RestBinding {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  /** Of success. */
  status: 200 | 201;
}

export interface CommandSpec<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  summary: string;
  tag: "rooms" | "members" | "messages" | "direct messages" | "sync" | "blocks" | "session";
  input: I;
  output: O;
  rest: RestBinding | undefined;
  /** May run beside others of its connection; all the rest wait for what that connection asked before. */
  concurrent: boolean;
}

function define<I extends z.ZodType, O extends z.ZodType>(
  spec: Omit<CommandSpec<I, O>, "rest" | "concurrent"> & {
    rest?: [RestBinding["method"], string, 201?];
    concurrent?: boolean;
  },
): CommandSpec<I, O> {
  const [method, path, status] = spec.rest ?? [];
  const rest: RestBinding | undefined = method === undefined || path === undefined
    ? undefined
    : { method, path: `/api/chat${path}`, status: status ?? 200 };
  return { ...spec, rest, concurrent: spec.concurrent ?? false };
}

const privacy = z.boolean().optional();
const maxMembers = z.int().min(1).max(1_000_000).nullable().optional();
const inRoom = z.strictObject({ roomId: s.roomId });
const roomAnswer = z.strictObject({ room: s.room });
const memberAnswer = z.strictObject({ member: s.member });
const messageAnswer = z.strictObject({ message: s.message });
const done = z.strictObject({});
const page = { limit: s.pageLimit, cursor: s.cursor.optional() };
const nextCursor = z.string().nullable();
const history = {
  limit: s.pageLimit,
  before: s.seq.optional(),
  after: s.seq.optional(),
  around: s.seq.optional(),
};
const oneAnchor = (ask: { before?: unknown; after?: unknown; around?: unknown }) =>
  [ask.before, ask.after, ask.around].filter((anchor) => anchor !== undefined).length <= 1;
const ONE_ANCHOR = { error: "Expected at most one of before, after and around", path: ["before"] };
const historyAnswer = {
  position: s.position,
  oldestSeq: s.seq,
  hasMoreBefore: z.boolean(),
  hasMoreAfter: z.boolean(),
};
const outgoing = {
  content: s.prose(100_000),
  type: z.enum(MESSAGE_TYPES).default("TEXT"),
  clientMessageId: s.clientMessageId.optional(),
  replyToId: s.messageId.optional(),
};

export const commands = {
  authenticate: define({
    tag: "session",
    summary:
      "Give a fresh token: the first command of a socket that came without one, and whenever one is to be renewed",
    input: z.strictObject({ token: z.string().min(1).max(16_384) }),
    output: z.strictObject({ userId: z.string(), expiresAt: z.iso.datetime() }),
  }),
  create_room: define({
    tag: "rooms",
    summary: "Make a room; its creator is its owner",
    rest: ["POST", "/rooms", 201],
    input: z.strictObject({
      name: s.line(1, limits.ROOM_NAME_MAX),
      type: z.enum(["PUBLIC", "PRIVATE", "COURSE", "STUDY_GROUP"]).default("PUBLIC"),
      description: s.prose(limits.ROOM_DESCRIPTION_MAX).nullable().optional(),
      courseId: s.line(1, limits.COURSE_ID_MAX).optional(),
      isPrivate: privacy,
      maxMembers,
    }),
    output: roomAnswer,
  }),
  list_rooms: define({
    tag: "rooms",
    summary: "The rooms you are a member of, with unread counts; direct rooms are conversations",
    rest: ["GET", "/rooms"],
    input: z.strictObject(page),
    output: z.strictObject({ rooms: z.array(s.listedRoom), nextCursor }),
    concurrent: true,
  }),
  discover_rooms: define({
    tag: "rooms",
    summary: "Listed rooms, by name",
    rest: ["GET", "/rooms/discover"],
    input: z.strictObject({
      query: s.line(0, limits.SEARCH_QUERY_MAX).optional(),
      type: z.enum(["PUBLIC", "COURSE", "STUDY_GROUP"]).optional(),
      courseId: s.line(1, limits.COURSE_ID_MAX).optional(),
      ...page,
    }),
    output: z.strictObject({ rooms: z.array(s.listedRoom), nextCursor }),
    concurrent: true,
  }),
  get_room: define({
    tag: "rooms",
    summary: "One room",
    rest: ["GET", "/rooms/:roomId"],
    input: inRoom,
    output: z.strictObject({ room: s.listedRoom }),
    concurrent: true,
  }),
  update_room: define({
    tag: "rooms",
    summary: "Change a room's fields",
    rest: ["PATCH", "/rooms/:roomId"],
    input: z.strictObject({
      roomId: s.roomId,
      name: s.line(1, limits.ROOM_NAME_MAX).optional(),
      description: s.prose(limits.ROOM_DESCRIPTION_MAX).nullable().optional(),
      isPrivate: privacy,
      maxMembers,
    }).refine((ask) => Object.keys(ask).length > 1, {
      error: "Expected at least one field to change",
      path: ["name"],
    }),
    output: roomAnswer,
  }),
  delete_room: define({
    tag: "rooms",
    summary: "Delete a room: its members are told, its history is unreadable afterwards",
    rest: ["DELETE", "/rooms/:roomId"],
    input: inRoom,
    output: done,
  }),
  join_room: define({
    tag: "members",
    summary: "Become a member. On a socket: hear the room from now on, after what changed since `since`",
    rest: ["POST", "/rooms/:roomId/join"],
    input: z.strictObject({ roomId: s.roomId, since: s.position.optional() }),
    output: s.catchUp,
  }),
  leave_room: define({
    tag: "members",
    summary: "End the membership. On a socket: only stop hearing the room, unless `membership` is true",
    rest: ["POST", "/rooms/:roomId/leave"],
    input: z.strictObject({ roomId: s.roomId, membership: z.boolean().optional() }),
    output: z.strictObject({ roomId: z.uuid() }),
  }),
  list_members: define({
    tag: "members",
    summary: "A room's members; for moderators also those who are banned",
    rest: ["GET", "/rooms/:roomId/members"],
    input: z.strictObject({
      roomId: s.roomId,
      status: z.enum(["active", "banned"]).default("active"),
      ...page,
    }),
    output: z.strictObject({ members: z.array(s.member), nextCursor }),
    concurrent: true,
  }),
  add_member: define({
    tag: "members",
    summary: "Bring a user into a room",
    rest: ["POST", "/rooms/:roomId/members", 201],
    input: z.strictObject({
      roomId: s.roomId,
      userId: s.userId,
      role: z.enum(MEMBER_ROLES).default("MEMBER"),
    }),
    output: memberAnswer,
  }),
  update_member: define({
    tag: "members",
    summary: "Change a member's role, mute or unmute, ban (isBlocked) or lift a ban",
    rest: ["PATCH", "/rooms/:roomId/members/:userId"],
    input: z.strictObject({
      roomId: s.roomId,
      userId: s.userId,
      role: z.enum(MEMBER_ROLES).optional(),
      isMuted: z.boolean().optional(),
      isBlocked: z.boolean().optional(),
    }).refine((ask) => ask.role !== undefined || ask.isMuted !== undefined || ask.isBlocked !== undefined, {
      error: "Expected role, isMuted or isBlocked",
      path: ["role"],
    }).refine((ask) => ask.isBlocked === undefined || (ask.role === undefined && ask.isMuted === undefined), {
      error: "Expected alone: a ban is a change of its own",
      path: ["isBlocked"],
    }),
    output: memberAnswer,
  }),
  remove_member: define({
    tag: "members",
    summary: "Take a member out of a room",
    rest: ["DELETE", "/rooms/:roomId/members/:userId"],
    input: z.strictObject({ roomId: s.roomId, userId: s.userId }),
    output: memberAnswer,
  }),
  send_message: define({
    tag: "messages",
    summary: "Send a message. The same clientMessageId again is answered with the message as it is now",
    rest: ["POST", "/messages", 201],
    input: z.strictObject({ roomId: s.roomId, ...outgoing }),
    output: messageAnswer,
    concurrent: true,
  }),
  list_messages: define({
    tag: "messages",
    summary: "A page of a room's history in the order of seq: the newest, or before, after or around a seq",
    rest: ["GET", "/rooms/:roomId/messages"],
    input: z.strictObject({ roomId: s.roomId, ...history }).refine(oneAnchor, ONE_ANCHOR),
    output: z.strictObject({ messages: z.array(s.message), ...historyAnswer }),
    concurrent: true,
  }),
  search_messages: define({
    tag: "messages",
    summary: 'Search by words ("a phrase", or, -not) in the rooms you are a member of, newest first',
    rest: ["GET", "/messages/search"],
    input: z.strictObject({
      query: s.line(1, limits.SEARCH_QUERY_MAX),
      roomId: s.roomId.optional(),
      senderId: s.userId.optional(),
      ...page,
    }),
    output: z.strictObject({ messages: z.array(s.roomMessage), nextCursor }),
    concurrent: true,
  }),
  update_message: define({
    tag: "messages",
    summary: "Edit your own message",
    rest: ["PUT", "/messages/:messageId"],
    input: z.strictObject({ messageId: s.messageId, content: s.prose(100_000) }),
    output: messageAnswer,
  }),
  delete_message: define({
    tag: "messages",
    summary: "Delete your own message, or as a moderator another's; a tombstone stays",
    rest: ["DELETE", "/messages/:messageId"],
    input: z.strictObject({ messageId: s.messageId }),
    output: messageAnswer,
  }),
  mark_as_read: define({
    tag: "messages",
    summary: "Move your read marker to this message; never backwards",
    rest: ["POST", "/messages/:messageId/read"],
    input: z.strictObject({ messageId: s.messageId }),
    output: z.strictObject({ roomId: z.uuid(), readMarker: s.readMarker, unread: s.unread }),
  }),
  send_direct_message: define({
    tag: "direct messages",
    summary: "Send a direct message",
    rest: ["POST", "/direct-messages", 201],
    input: z.strictObject({ recipientId: s.userId, ...outgoing }),
    output: z.strictObject({ message: s.directMessage }),
    concurrent: true,
  }),
  list_conversations: define({
    tag: "direct messages",
    summary: "Your conversations, newest first, with last message and unread count",
    rest: ["GET", "/direct-messages"],
    input: z.strictObject(page),
    output: z.strictObject({ conversations: z.array(s.conversation), nextCursor }),
    concurrent: true,
  }),
  list_direct_messages: define({
    tag: "direct messages",
    summary: "A page of the conversation with a user",
    rest: ["GET", "/direct-messages/:userId"],
    input: z.strictObject({ userId: s.userId, ...history }).refine(oneAnchor, ONE_ANCHOR),
    output: z.strictObject({
      roomId: z.uuid().nullable(),
      messages: z.array(s.directMessage),
      ...historyAnswer,
    }),
    concurrent: true,
  }),
  sync: define({
    tag: "sync",
    summary:
      "What changed in all of your rooms since the positions you have, rooms gone and new; on a socket also hear them",
    rest: ["POST", "/sync"],
    input: z.strictObject({
      positions: z.record(s.roomId as unknown as z.ZodString, s.position).default({}).refine(
        (positions) => Object.keys(positions).length <= limits.SYNC_POSITIONS_MAX,
        { error: `Expected at most ${limits.SYNC_POSITIONS_MAX} positions` },
      ),
    }),
    output: z.strictObject({
      epoch: z.string(),
      inbox: s.position,
      rooms: z.array(s.catchUp).meta({
        description: "Rooms that changed, and rooms that the caller named no position for",
      }),
      gone: z.array(z.uuid()).meta({
        description: "Named in `positions`, but the caller is no member any more",
      }),
      more: z.boolean().meta({ description: "Call again, with the positions of this answer" }),
    }),
  }),
  block_user: define({
    tag: "blocks",
    summary: "Stop direct messages with a user, both ways",
    rest: ["PUT", "/blocks/:userId"],
    input: z.strictObject({ userId: s.userId }),
    output: done,
  }),
  unblock_user: define({
    tag: "blocks",
    summary: "Allow direct messages again",
    rest: ["DELETE", "/blocks/:userId"],
    input: z.strictObject({ userId: s.userId }),
    output: done,
  }),
  list_blocked: define({
    tag: "blocks",
    summary: "The users you have blocked",
    rest: ["GET", "/blocks"],
    input: z.strictObject({}),
    output: z.strictObject({
      users: z.array(z.strictObject({ ...s.userProfile.shape, blockedAt: z.iso.datetime() })),
    }),
    concurrent: true,
  }),
};

export type CommandName = keyof typeof commands;
export type CommandInput<N extends CommandName> = z.output<(typeof commands)[N]["input"]>;

/** `hasOwn`: a client may well send "constructor". */
export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}
