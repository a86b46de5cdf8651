/**
 * From changes to pushes: the only place that names the event of a change, live or repaired, and
 * says on which streams it travels.
 */
import type { RoomId, UserId } from "../protocol/ids.ts";
import { asJson, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import type { Change, InboxChange, RoomChange } from "../store/changes.ts";
import type { InboxRow } from "../store/inbox_changes.ts";
import type { Stay, StreamChanges } from "../store/room_changes.ts";
import { Push } from "./push.ts";

export type Topic = `room:${string}` | `inbox:${string}`;
export const roomTopic = (roomId: RoomId): Topic => `room:${roomId}`;
export const inboxTopic = (userId: UserId): Topic => `inbox:${userId}`;

interface Place {
  after: number;
  seq: number;
}

/** A live change with the topics that carry it: a direct room's travel through its two users' inboxes. */
export function publicationsOf(change: Change): { topic: Topic; push: Push }[] {
  if (change.kind === "inbox") {
    return [{
      topic: inboxTopic(change.userId),
      push: inboxPush(change, { after: change.seq - 1, seq: change.seq }),
    }];
  }
  const place = { after: change.seq - 1, seq: change.seq };
  if (change.kind === "membership" || change.direct === undefined) {
    return [{ topic: roomTopic(change.roomId), push: roomPush(change, place) }];
  }
  const { low, high, inboxLow, inboxHigh } = change.direct;
  const told = [{ userId: low, seq: inboxLow }, ...(high === low ? [] : [{ userId: high, seq: inboxHigh }])];
  return told.map(({ userId, seq }) => ({
    topic: inboxTopic(userId),
    push: directPush(change, place, { after: seq - 1, seq }),
  }));
}

/** `known`: what is at or below it is not new to the readers. */
export function roomPush(
  change: RoomChange,
  place: Place,
  known: number = place.after,
  stays?: ReadonlyMap<UserId, Stay>,
): Push {
  const { event, fields } = describe(change, known, false);
  const data = jsonObject({
    ...fields,
    roomId: toJson(change.roomId),
    after: toJson(place.after),
    seq: toJson(place.seq),
  });
  const ends = !change.ended || change.kind === "message"
    ? undefined
    : change.kind === "room"
    ? "everyone"
    : change.userId;
  return new Push({ event, data, ...place, ends, stays });
}

function directPush(change: RoomChange, place: Place, inbox: Place, known: number = place.after): Push {
  const { event, fields } = describe(change, known, true);
  const data = jsonObject({
    ...fields,
    roomId: toJson(change.roomId),
    after: toJson(place.after),
    seq: toJson(place.seq),
    inbox: toJson(inbox),
  });
  return new Push({ event, data, ...inbox });
}

function inboxPush(change: Omit<InboxChange, "kind">, inbox: Place): Push {
  const removed = change.word === "removed";
  const data = jsonObject({
    roomId: toJson(change.roomId),
    ...(removed
      ? { reason: toJson(change.reason) }
      : { room: asJson(change.json ?? "null"), member: asJson(change.member ?? "null") }),
    inbox: toJson(inbox),
  });
  return new Push({ event: INBOX_EVENTS[change.word], data, ...inbox });
}

const INBOX_EVENTS = {
  created: "room_created",
  added: "room_added",
  updated: "membership_updated",
  removed: "room_removed",
} as const;

/** The event's name and its own fields. What is new to a reader at `known` is received, else updated. */
function describe(
  change: RoomChange,
  known: number,
  direct: boolean,
): { event: string; fields: Record<string, JsonText> } {
  switch (change.kind) {
    case "message": {
      const message = asJson(change.json);
      if (change.attachment !== undefined) {
        return { event: "attachment_updated", fields: { message, attachment: asJson(change.attachment) } };
      }
      if (change.firstSeq > known) {
        return { event: direct ? "direct_message_received" : "message_received", fields: { message } };
      }
      return { event: change.ended ? "message_deleted" : "message_updated", fields: { message } };
    }
    case "membership": {
      const event = change.firstSeq <= known ? "member_updated" : change.ended ? "user_left" : "user_joined";
      return { event, fields: { userId: toJson(change.userId), member: asJson(change.json) } };
    }
    case "room":
      return change.ended
        ? { event: "room_deleted", fields: {} }
        : { event: "room_updated", fields: { room: asJson(change.json) } };
  }
}

/**
 * Repaired: the rows that changed since `since`, each covering the interval from the one before it. To those who were
 * out for a part of it, only what happened while they were in.
 */
export function repairedRoomPushes(
  { changes, stays }: Pick<StreamChanges, "changes" | "stays">,
  { since, known, through }: { since: number; known: number; through: number },
): Push[] {
  let after = since;
  return changes.map((change, i) => {
    const seq = i === changes.length - 1 ? Math.max(change.seq, through) : change.seq;
    const push = roomPush(change, { after, seq }, known, stays);
    after = seq;
    return push;
  });
}

/** The same of an inbox. A direct room's rows also cover their interval of the room. */
export function repairedInboxPushes(
  rows: readonly InboxRow[],
  since: number,
  through: number,
  userId: UserId,
): Push[] {
  const roomAfter = new Map<RoomId, number>();
  let after = since;
  return rows.map((row, i) => {
    const inbox = { after, seq: i === rows.length - 1 ? Math.max(row.inboxSeq, through) : row.inboxSeq };
    after = inbox.seq;
    if (row.kind === "membership") {
      const word = row.ended ? "removed" : !row.isNew ? "updated" : row.isCreator ? "created" : "added";
      return inboxPush({
        roomId: row.roomId,
        userId,
        seq: row.inboxSeq,
        word,
        reason: row.reason,
        json: row.json,
        member: row.member,
      }, inbox);
    }
    const place = { after: roomAfter.get(row.roomId) ?? row.base, seq: row.seq };
    roomAfter.set(row.roomId, row.seq);
    const common = { roomId: row.roomId, seq: row.seq, ended: row.ended, json: row.json, direct: undefined };
    const change: RoomChange = row.kind === "room"
      ? { kind: "room", ...common }
      : { kind: "message", firstSeq: row.firstSeq, ...common };
    return directPush(change, place, inbox, row.isNew ? row.firstSeq - 1 : row.seq);
  });
}
