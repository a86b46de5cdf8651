/**
 * What a reader missed of a stream, as the pushes that would have come: for clients that come back as if they had never
 * been away. Undefined where that cannot be told truthfully: too much, another life of the database, a room that is no
 * longer theirs, messages that retention has removed.
 */
import type { RoomId, UserId } from "../protocol/ids.ts";
import { CATCH_UP_BYTES_MAX, CATCH_UP_ROWS_MAX } from "../protocol/limits.ts";
import type { Position } from "../protocol/models.ts";
import type { Database } from "../store/database.ts";
import { inboxChangesSince } from "../store/inbox_changes.ts";
import { readerChangesSince } from "../store/room_changes.ts";
import type { Push } from "./push.ts";
import { repairedInboxPushes, repairedRoomPushes } from "./pushes.ts";

export interface Missed {
  /** Everything up to here is told. */
  seq: number;
  pushes: Push[];
}

export async function readMissedOfRoom(
  db: Database,
  { roomId, userId, since }: { roomId: RoomId; userId: UserId; since: Position },
): Promise<Missed | undefined> {
  const found = await readerChangesSince(db, { roomId, userId, since: since.seq, limit: CATCH_UP_ROWS_MAX });
  if (found === undefined || found.more) return undefined;
  const { epoch, role, isDeleted, type, lastSeq, oldestSeq } = found.standing;
  const isReadable = role !== null && !isDeleted && type !== "DIRECT";
  const isKnown = epoch === since.epoch && since.seq <= lastSeq && since.seq + 1 >= oldestSeq;
  if (!isReadable || !isKnown) return undefined;
  const place = { since: since.seq, known: since.seq, through: lastSeq };
  return bounded({ seq: lastSeq, pushes: repairedRoomPushes({ ...found, stays: new Map() }, place) });
}

export async function readMissedOfInbox(
  db: Database,
  userId: UserId,
  since: number,
): Promise<Missed | undefined> {
  const found = await inboxChangesSince(db, userId, since, CATCH_UP_ROWS_MAX);
  if (found === undefined || found.more || since > found.lastSeq) return undefined;
  const { rows, lastSeq } = found;
  return bounded({ seq: lastSeq, pushes: repairedInboxPushes(rows, since, lastSeq, userId) });
}

export const bytesOf = ({ pushes }: Missed): number => pushes.reduce((sum, { data }) => sum + data.length, 0);

const bounded = (missed: Missed): Missed | undefined =>
  bytesOf(missed) <= CATCH_UP_BYTES_MAX ? missed : undefined;
