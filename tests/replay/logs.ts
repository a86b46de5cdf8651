/** Logs of an invented room for the checks: history, and what a faultless listener would have heard. */
import type { MessageId, RoomId, UserId } from "../../src/protocol/ids.ts";
import type { Message } from "../../src/protocol/models.ts";
import type { Heard, HearingLog } from "../../bench/replay/hearing.ts";
import type { Sent } from "../../bench/replay/sent_check.ts";

export const ROOM = "01890000-0000-7000-8000-000000000001" as RoomId;

export function messageAt(seq: number, content = `text ${seq}`, nick = "ada"): Message {
  return {
    id: `01890000-0000-7000-8000-${String(seq).padStart(12, "0")}` as MessageId,
    roomId: ROOM,
    seq,
    changeSeq: seq,
    senderId: `run:${nick}` as UserId,
    sender: { id: `run:${nick}` as UserId, name: nick, avatarUrl: null },
    clientMessageId: `run-${seq}`,
    content,
    type: "TEXT",
    attachments: [],
    replyToId: null,
    isEdited: false,
    editedAt: null,
    isDeleted: false,
    deletedAt: null,
    reactions: [],
    mentions: [],
    createdAt: "2026-01-01T00:00:00.000Z",
  };
}

export function sentAs(message: Message): Sent {
  return {
    line: message.seq - 1,
    nick: message.senderId.slice("run:".length),
    userId: message.senderId,
    clientMessageId: message.clientMessageId,
    content: message.content,
    replyToId: message.replyToId ?? undefined,
    tries: 1,
    acked: message,
  };
}

/** Places 1 to `lastSeq`: a message each, but a membership change where `seq` is a multiple of 5. */
export function historyTo(lastSeq: number): { messages: Message[]; lastSeq: number } {
  const places = Array.from({ length: lastSeq }, (_, i) => i + 1);
  return { messages: places.filter((seq) => seq % 5 !== 0).map((seq) => messageAt(seq)), lastSeq };
}

/** One who joined at `from` and left at `until`, or stayed. */
export function faultlessLog(
  history: { messages: readonly Message[]; lastSeq: number },
  from: number,
  until?: number,
): HearingLog & { heard: Heard[] } {
  const heard: Heard[] = [];
  for (let seq = from + 1; seq <= (until ?? history.lastSeq); seq++) {
    const message = seq === until ? undefined : history.messages.find((one) => one.seq === seq);
    const event = seq === until ? "user_left" : message === undefined ? "user_joined" : "message_received";
    heard.push({ event, roomId: ROOM, after: seq - 1, seq, message });
  }
  const earlier = history.messages.filter((one) => one.seq <= from);
  const page = { messages: earlier.slice(-50), hasMoreBefore: earlier.length > 50 };
  return { nick: "ada", roomId: ROOM, from, until, page, heard };
}
