/** The commands on messages, of rooms and direct. */
import { z } from "zod";
import { define, EXAMPLE_ID, minSeq, nextCursor, page } from "./command_spec.ts";
import { attachmentIds } from "./file_commands.ts";
import { MESSAGE_TYPES } from "./models.ts";
import * as s from "./schemas.ts";

const messageAnswer = z.strictObject({ message: s.message });
const history = {
  limit: s.pageLimit,
  before: s.seq.optional(),
  after: s.seq.optional(),
  around: s.seq.optional(),
  minSeq,
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
  content: s.prose(100_000).default("").meta({ description: "May be left out where there are files" }),
  type: z.enum(MESSAGE_TYPES).default("TEXT"),
  clientMessageId: s.clientMessageId.optional(),
  replyToId: s.messageId.optional(),
  mentions: s.mentions.optional(),
  attachmentIds: attachmentIds.optional(),
};

export const messageCommands = {
  send_message: define({
    tag: "messages",
    summary: "Send a message. The same clientMessageId again is answered with the message as it is now",
    rest: ["POST", "/messages", 201],
    example: { roomId: EXAMPLE_ID, content: "Hello, world!" },
    input: z.strictObject({ roomId: s.roomId, ...outgoing }),
    output: messageAnswer,
    form: true,
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
  update_message: define({
    tag: "messages",
    summary: "Edit your own message",
    rest: ["PUT", "/messages/:messageId"],
    example: { content: "Hello, everybody!" },
    input: z.strictObject({
      messageId: s.messageId,
      content: s.prose(100_000),
      mentions: s.mentions.optional(),
    }),
    output: messageAnswer,
  }),
  delete_message: define({
    tag: "messages",
    summary: "Delete your own message, or as a moderator another's; a tombstone stays",
    rest: ["DELETE", "/messages/:messageId"],
    input: z.strictObject({ messageId: s.messageId }),
    output: messageAnswer,
  }),
  send_direct_message: define({
    tag: "direct messages",
    summary: "Send a direct message",
    rest: ["POST", "/direct-messages", 201],
    example: { recipientId: "grace", content: "Hello, Grace!" },
    input: z.strictObject({ recipientId: s.userId, ...outgoing }),
    output: z.strictObject({ message: s.directMessage }),
    form: true,
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
};
