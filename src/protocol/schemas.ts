/**
 * The shapes of models.ts as zod schemas, and the fields that inputs share. Unknown keys of an input are
 * refused. Text: a lone surrogate becomes U+FFFD, control characters except newline and tab are removed,
 * everything else stays exactly as written; lengths are counted in code points.
 */
import { z } from "zod";
import type { AttachmentId, MessageId, RoomId, UserId } from "./ids.ts";
import * as limits from "./limits.ts";
import {
  type Attachment,
  ATTACHMENT_KINDS,
  ATTACHMENT_STATES,
  type Conversation,
  type CustomStatus,
  type DirectMessage,
  LEAVE_REASONS,
  type Member,
  MEMBER_ROLES,
  type Message,
  MESSAGE_TYPES,
  type Position,
  type ReadMarker,
  type Receipt,
  type Room,
  ROOM_TYPES,
  STATUSES,
  type Unread,
  type UserProfile,
  type UserStatus,
} from "./models.ts";

/** C0 except tab and newline, DEL, C1. */
const CONTROL = /(?![\t\n])\p{Cc}/gu;

export const cleanText = (text: string): string => text.replace(CONTROL, "").toWellFormed();

export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** One line of text, trimmed; `min` to `max` code points. */
export function line(min: number, max: number): z.ZodType<string, string> {
  return z.string().transform((text) => cleanText(text).replace(/[\n\t]+/g, " ").trim()).pipe(
    z.string().refine((text) => codePoints(text) >= min && codePoints(text) <= max, {
      error: `Expected ${min} to ${max} characters`,
    }),
  ).meta({ minLength: min, maxLength: max });
}

/** Text of several lines. */
export function prose(max: number): z.ZodType<string, string> {
  return z.string().transform(cleanText).pipe(
    z.string().refine((text) => codePoints(text) <= max, { error: `Expected at most ${max} characters` }),
  ).meta({ maxLength: max });
}

const uuid = z.uuid({ error: "Expected an id (UUID)" }).transform((text) => text.toLowerCase());
export const roomId = uuid as unknown as z.ZodType<RoomId, string>;
export const messageId = uuid as unknown as z.ZodType<MessageId, string>;
export const attachmentId = uuid as unknown as z.ZodType<AttachmentId, string>;

/** Kept exactly as it is, or refused. */
const exactly = (max: number, error: string): z.ZodType<string, string> =>
  z.string().refine(
    (text) => text !== "" && codePoints(text) <= max && text.isWellFormed() && !/\p{Cc}/u.test(text),
    { error },
  ).meta({ minLength: 1, maxLength: max });

export const userId = exactly(limits.USER_ID_MAX, "Expected a user id") as unknown as z.ZodType<
  UserId,
  string
>;
export const mentions = z.array(userId).max(limits.MENTIONS_MAX).meta({
  description: "Members that the message names, beside those whose @name stands in its text",
});
export const seq = z.int().min(0);
export const pageLimit = z.int().min(1).max(limits.PAGE_LIMIT_MAX).default(limits.PAGE_LIMIT_DEFAULT);
export const cursor = z.string().min(1).max(1_000).meta({
  description: "Opaque: `nextCursor` of the page before",
});
export const clientMessageId = exactly(limits.CLIENT_MESSAGE_ID_MAX, "Expected printable text");
export const position = z.strictObject({ epoch: z.string().min(1).max(64), seq }).meta({
  id: "Position",
}) satisfies z.ZodType<Position>;

const time = z.iso.datetime();
const outRoomId = z.uuid() as unknown as z.ZodType<RoomId, RoomId>;
const outMessageId = z.uuid() as unknown as z.ZodType<MessageId, MessageId>;
const outUserId = z.string() as unknown as z.ZodType<UserId, UserId>;

export const room = z.strictObject({
  id: outRoomId,
  name: z.string(),
  type: z.enum(ROOM_TYPES),
  description: z.string().nullable(),
  courseId: z.string().nullable(),
  createdBy: outUserId,
  isPrivate: z.boolean(),
  maxMembers: z.int().nullable(),
  memberCount: z.int(),
  lastSeq: seq,
  oldestSeq: seq,
  createdAt: time,
  updatedAt: time,
}).meta({ id: "Room" }) satisfies z.ZodType<Room>;

export const member = z.strictObject({
  id: z.string(),
  roomId: outRoomId,
  userId: outUserId,
  name: z.string(),
  avatarUrl: z.string().nullable(),
  role: z.enum(MEMBER_ROLES),
  joinedAt: time,
  lastReadAt: time.nullable(),
  lastReadSeq: seq,
  isMuted: z.boolean(),
  isBlocked: z.boolean(),
  leftReason: z.enum(LEAVE_REASONS).nullable(),
}).meta({ id: "Member" }) satisfies z.ZodType<Member>;

export const durationMs = z.int().min(0).max(limits.DURATION_MS_MAX);
export const waveform = z.array(z.int().min(0).max(255)).max(limits.WAVEFORM_MAX);
export const attachment = z.strictObject({
  id: z.uuid() as unknown as z.ZodType<AttachmentId, AttachmentId>,
  name: z.string(),
  mimeType: z.string(),
  kind: z.enum(ATTACHMENT_KINDS),
  size: z.int(),
  state: z.enum(ATTACHMENT_STATES).meta({
    description: "Only what is `clean` can be fetched; `pending` waits for the scanner",
  }),
  durationMs: durationMs.nullable(),
  waveform: waveform.nullable(),
}).meta({ id: "Attachment" }) satisfies z.ZodType<Attachment>;

export const userProfile = z.strictObject({
  id: outUserId,
  name: z.string(),
  avatarUrl: z.string().nullable(),
}).meta({
  id: "UserProfile",
}) satisfies z.ZodType<UserProfile>;

const messageFields = {
  id: outMessageId,
  roomId: outRoomId,
  seq,
  changeSeq: seq,
  senderId: outUserId,
  sender: userProfile,
  clientMessageId: z.string(),
  content: z.string(),
  type: z.enum(MESSAGE_TYPES),
  attachments: z.array(attachment),
  replyToId: outMessageId.nullable(),
  isEdited: z.boolean(),
  editedAt: time.nullable(),
  isDeleted: z.boolean(),
  deletedAt: time.nullable(),
  reactions: z.array(z.unknown()),
  mentions: z.array(outUserId),
  createdAt: time,
};
const directFields = {
  recipientId: outUserId,
  isEncrypted: z.boolean(),
  isRead: z.boolean(),
  readAt: time.nullable(),
};
export const roomMessage = z.strictObject(messageFields).meta({ id: "RoomMessage" }) satisfies z.ZodType<
  Message
>;
export const directMessage = z.strictObject({ ...messageFields, ...directFields }).meta({
  id: "DirectMessage",
}) satisfies z.ZodType<DirectMessage>;
/** A message of any room. */
export const message = z.union([roomMessage, directMessage]).meta({ id: "Message" });

export const readMarker = z.strictObject({ userId: outUserId, lastReadSeq: seq, lastReadAt: time.nullable() })
  .meta({
    id: "ReadMarker",
  }) satisfies z.ZodType<ReadMarker>;
export const receipt = z.strictObject({
  userId: outUserId,
  user: userProfile,
  messageId: outMessageId,
  lastReadSeq: seq,
  lastReadAt: time,
}).meta({ id: "Receipt" }) satisfies z.ZodType<Receipt>;
const unreadCount = z.int().min(0).max(limits.UNREAD_MAX);
export const unread = z.strictObject({ count: unreadCount, mentions: unreadCount, afterSeq: seq, seq }).meta({
  id: "Unread",
  description: `Counts stop at ${limits.UNREAD_MAX}: show that as "${limits.UNREAD_MAX - 1}+"`,
}) satisfies z.ZodType<Unread>;
export const customStatus = z.strictObject({
  text: z.string(),
  emoji: z.string().nullable(),
  expiresAt: time.nullable(),
}).meta({ id: "CustomStatus" }) satisfies z.ZodType<CustomStatus>;
export const userStatus = z.strictObject({
  userId: outUserId,
  user: userProfile,
  status: z.enum(STATUSES).meta({
    description: "`invisible` is told to the user alone: others see `offline`",
  }),
  isOnline: z.boolean(),
  lastSeenAt: time.nullable(),
  customStatus: customStatus.nullable(),
}).meta({ id: "UserStatus" }) satisfies z.ZodType<UserStatus>;
export const conversation = z.strictObject({
  roomId: outRoomId,
  user: userProfile,
  lastMessage: directMessage.nullable(),
  unread,
  position,
}).meta({ id: "Conversation" }) satisfies z.ZodType<Conversation>;

/** A room in a list: with the asker's own membership, unread count and the position of the answer. */
export const listedRoom = z.strictObject({
  ...room.shape,
  member: member.nullable(),
  unread: unread.nullable(),
  position,
})
  .meta({ id: "ListedRoom" });

export const catchUp = z.strictObject({
  roomId: outRoomId,
  room,
  member,
  position,
  since: seq.nullable(),
  reset: z.boolean().meta({
    description:
      "True: drop what you have of this room; `messages` is its newest page. False: `messages` and `members` are " +
      "everything that changed after `since`, each in its present state.",
  }),
  oldestSeq: seq.meta({ description: "Messages before this seq are gone: forget them" }),
  hasMoreBefore: z.boolean(),
  messages: z.array(message),
  members: z.array(member),
  readMarkers: z.array(readMarker),
  unread,
}).meta({ id: "CatchUp" });
