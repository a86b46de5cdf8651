/**
 * What clients see: the nouns of the wire, as types and closed sets, without zod,
 * so that sdk/ and web/ can take them. schemas.ts holds the same shapes as schemas
 * and is checked against these types by the compiler. Times are ISO 8601 in UTC.
 */
import type { AttachmentId, MessageId, RoomId, UserId } from "./ids.ts";

export const ROOM_TYPES = ["PUBLIC", "PRIVATE", "COURSE", "STUDY_GROUP", "DIRECT"] as const;
export type RoomType = (typeof ROOM_TYPES)[number];

/** Highest first. */
export const MEMBER_ROLES = ["OWNER", "ADMIN", "MODERATOR", "MEMBER"] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

export const MESSAGE_TYPES = ["TEXT", "IMAGE", "FILE", "VIDEO", "AUDIO"] as const;
export type MessageType = (typeof MESSAGE_TYPES)[number];

/** The platform's roles, from the token's `role` claim. */
export const PLATFORM_ROLES = ["student", "teacher", "admin"] as const;
export type PlatformRole = (typeof PLATFORM_ROLES)[number];

/** Why a membership ended, or waits. */
export const LEAVE_REASONS = ["left", "removed", "banned", "suspended"] as const;
export type LeaveReason = (typeof LEAVE_REASONS)[number];

/** Up to here a client has everything. Another epoch means another life of the database: start anew. */
export interface Position {
  epoch: string;
  seq: number;
}

export interface Room {
  id: RoomId;
  name: string;
  type: RoomType;
  description: string | null;
  courseId: string | null;
  createdBy: UserId;
  isPrivate: boolean;
  maxMembers: number | null;
  memberCount: number;
  /** The room's newest seq at the time of the answer. */
  lastSeq: number;
  /** Retention removed everything before this seq. */
  oldestSeq: number;
  createdAt: string;
  updatedAt: string;
}

/** Spec's ChatMember, with the user's profile along, so that a name needs no second request. */
export interface Member {
  /** Opaque: one for each user of each room. */
  id: string;
  roomId: RoomId;
  userId: UserId;
  name: string;
  avatarUrl: string | null;
  role: MemberRole;
  joinedAt: string;
  lastReadAt: string | null;
  lastReadSeq: number;
  isMuted: boolean;
  isBlocked: boolean;
  /** null while the membership lasts. */
  leftReason: LeaveReason | null;
}

/** What an attachment is shown as; `voice` is a recording that was made to be one. */
export const ATTACHMENT_KINDS = ["image", "video", "audio", "voice", "file"] as const;
export type AttachmentKind = (typeof ATTACHMENT_KINDS)[number];

/** Only a clean one can be fetched: until then it is a placeholder. An infected or failed one never will be. */
export const ATTACHMENT_STATES = ["pending", "clean", "infected", "failed"] as const;
export type AttachmentState = (typeof ATTACHMENT_STATES)[number];

export interface Attachment {
  id: AttachmentId;
  name: string;
  /** What its bytes are, whatever it was called. */
  mimeType: string;
  kind: AttachmentKind;
  /** Bytes. */
  size: number;
  state: AttachmentState;
  durationMs: number | null;
  /** Of voice: how loud it is over its length, 0 to 255. */
  waveform: number[] | null;
}

/** Spec's ChatMessage. A deleted one is a tombstone: content "", attachments and reactions empty. */
export interface Message {
  id: MessageId;
  roomId: RoomId;
  /** The message's place in its room; clients order by it. */
  seq: number;
  /** The seq of its newest change. */
  changeSeq: number;
  senderId: UserId;
  sender: UserProfile;
  clientMessageId: string;
  content: string;
  type: MessageType;
  attachments: Attachment[];
  replyToId: MessageId | null;
  isEdited: boolean;
  editedAt: string | null;
  isDeleted: boolean;
  deletedAt: string | null;
  reactions: unknown[];
  /** Members who are named in it. */
  mentions: UserId[];
  createdAt: string;
}

/** Spec's DirectMessage: a message of the DIRECT room of its two users. */
export interface DirectMessage extends Message {
  recipientId: UserId;
  isEncrypted: boolean;
  isRead: boolean;
  readAt: string | null;
}

export interface ReadMarker {
  userId: UserId;
  lastReadSeq: number;
  lastReadAt: string | null;
}

/** A member has read up to here; of `read_receipt`. */
export interface Receipt extends ReadMarker {
  user: UserProfile;
  messageId: MessageId;
  lastReadAt: string;
}

/**
 * Messages by others after `afterSeq` that are not deleted, and those of them that name the reader; each counted up to
 * UNREAD_MAX, valid at `seq`. `afterSeq` is the reader's marker, or less if they marked something as unread.
 */
export interface Unread {
  count: number;
  mentions: number;
  afterSeq: number;
  seq: number;
}

export interface UserProfile {
  id: UserId;
  name: string;
  avatarUrl: string | null;
}

export interface Conversation {
  roomId: RoomId;
  user: UserProfile;
  lastMessage: DirectMessage | null;
  unread: Unread;
  position: Position;
}

/** What a user may choose; `online` follows their devices: away once none of them has asked for anything for a while. */
export const STATUS_CHOICES = ["online", "away", "busy", "invisible"] as const;
export type StatusChoice = (typeof STATUS_CHOICES)[number];

/** What is shown of a user. `invisible` only to themselves: others see offline. */
export const STATUSES = ["online", "away", "busy", "offline", "invisible"] as const;
export type Status = (typeof STATUSES)[number];

export interface CustomStatus {
  text: string;
  emoji: string | null;
  /** It ends by itself then; null: not. */
  expiresAt: string | null;
}

export interface UserStatus {
  userId: UserId;
  user: UserProfile;
  status: Status;
  isOnline: boolean;
  /** Of those who are offline. */
  lastSeenAt: string | null;
  /** Of those who are not. */
  customStatus: CustomStatus | null;
}

/** A stretch of a message's content: `content.slice(start, end)`. */
export interface Highlight {
  start: number;
  end: number;
}
