/**
 * The one table of what the server sends unasked. Sequenced events carry `after` and `seq`: with it, everything
 * in (after, seq] of the room is known. If `after` is beyond your position, ask with join_room `since` or sync;
 * if `seq` is at or below it, drop the event. Events of your inbox carry the same as `inbox`. Typing, receipts and
 * status carry neither: they may be lost, and a catch-up tells what counts of them.
 */
import { z } from "zod";
import { errorCodes } from "./errors.ts";
import { scanned } from "./file_commands.ts";
import * as s from "./schemas.ts";

const inRoom = { roomId: z.uuid(), after: s.seq, seq: s.seq };
const place = z.strictObject({ after: s.seq, seq: s.seq }).meta({ id: "InboxPlace" });
/** Of a direct room; elsewhere absent. */
const inInbox = { inbox: place.optional() };
const userId = z.string();

export interface EventSpec {
  summary: string;
  data: z.ZodType;
}

export const events = {
  hello: {
    summary:
      "The first push: who you are to us, and where your inbox stands. A direct room is heard without joining",
    data: z.strictObject({
      connectionId: z.uuid(),
      nodeId: z.uuid(),
      region: z.string(),
      epoch: z.string(),
      userId,
      inbox: s.position,
      expiresAt: z.iso.datetime(),
    }),
  },
  token_expiring: {
    summary: "Your token ends soon: send `authenticate` with a fresh one, or the socket is closed with 4401",
    data: z.strictObject({ expiresAt: z.iso.datetime() }),
  },
  server_draining: {
    summary:
      "This node goes away: you are served until it closes your socket with 1012, in `retryInMs`; then connect anew",
    data: z.strictObject({ retryInMs: z.int().min(0) }),
  },
  error: {
    summary: "A command without an id failed, or a frame could not be read",
    data: z.strictObject({
      code: z.enum(Object.keys(errorCodes) as [string, ...string[]]),
      message: z.string(),
      retryable: z.boolean(),
      details: z.record(z.string(), z.unknown()).optional(),
      requestId: z.string().optional(),
      command: z.string().optional(),
    }),
  },
  room_joined: { summary: "This connection hears the room from now on", data: s.catchUp },
  room_left: {
    summary: "This connection no longer hears the room",
    data: z.strictObject({ roomId: z.uuid() }),
  },
  message_received: {
    summary: "A message is new to you",
    data: z.strictObject({ message: s.roomMessage, ...inRoom }),
  },
  message_updated: {
    summary: "A message that you may know has changed",
    data: z.strictObject({ message: s.message, ...inRoom, ...inInbox }),
  },
  message_deleted: {
    summary: "A message was deleted: what is left of it, without content",
    data: z.strictObject({ message: s.message, ...inRoom, ...inInbox }),
  },
  attachment_updated: {
    summary:
      "A file of a message has been scanned: the message as it is now, and the file of it that changed",
    data: z.strictObject({ message: s.message, attachment: s.attachment, ...inRoom, ...inInbox }),
  },
  user_joined: {
    summary: "A user became a member of the room",
    data: z.strictObject({ userId, member: s.member, ...inRoom }),
  },
  member_updated: {
    summary: "A member's role, mute or ban changed",
    data: z.strictObject({ userId, member: s.member, ...inRoom }),
  },
  user_left: {
    summary: "A membership ended: `member.leftReason` says how",
    data: z.strictObject({ userId, member: s.member, ...inRoom }),
  },
  room_updated: {
    summary: "A room's own fields changed",
    data: z.strictObject({ room: s.room, ...inRoom, ...inInbox }),
  },
  room_deleted: { summary: "The room is gone", data: z.strictObject(inRoom) },
  direct_message_received: {
    summary: "A direct message is new to you; the sender's devices get it too",
    data: z.strictObject({ message: s.directMessage, ...inRoom, inbox: place }),
  },
  room_created: {
    summary: "Inbox: you made a room, perhaps on another device",
    data: z.strictObject({ roomId: z.uuid(), room: s.room, member: s.member, inbox: place }),
  },
  room_added: {
    summary: "Inbox: you joined a room, were brought into one, or a suspended membership is back",
    data: z.strictObject({ roomId: z.uuid(), room: s.room, member: s.member, inbox: place }),
  },
  membership_updated: {
    summary: "Inbox: your own role or mute in a room changed",
    data: z.strictObject({ roomId: z.uuid(), room: s.room, member: s.member, inbox: place }),
  },
  room_removed: {
    summary: "Inbox: a room is no longer yours",
    data: z.strictObject({
      roomId: z.uuid(),
      reason: z.enum(["left", "removed", "banned", "suspended", "deleted"]),
      inbox: place,
    }),
  },
  typing_indicator: {
    summary: "A user types in a room, or no longer; it ends by itself also where the last word of it is lost",
    data: z.strictObject({ roomId: z.uuid(), userId, user: s.userProfile, isTyping: z.boolean() }),
  },
  read_receipt: {
    summary: "Members have read up to a message; never backwards. Gathered in a busy room",
    data: z.strictObject({ roomId: z.uuid(), receipts: z.array(s.receipt).min(1) }),
  },
  unread_updated: {
    summary: "You marked something as read or unread, perhaps on another device",
    data: z.strictObject({ roomId: z.uuid(), unread: s.unread }),
  },
  file_scanned: {
    summary: "Your own upload has been scanned, sent or not; get_file_state tells the same later",
    data: scanned,
  },
  status_updated: {
    summary: "A user comes, goes, or is shown otherwise; also you yourself",
    data: s.userStatus,
  },
} satisfies Record<string, EventSpec>;

export type EventName = keyof typeof events;
