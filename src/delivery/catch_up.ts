/**
 * Catch-up: what a reader who was away is told of one room. Everything that changed since their position, each row
 * in its present state; or, if that is too much or the position is not of this database's life, `reset` and the
 * newest page. Never a silent hole.
 */
import type { RoomId, UserId } from "../protocol/ids.ts";
import { asJson, jsonArray, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import { CATCH_UP_BYTES_MAX, CATCH_UP_ROWS_MAX, RESET_PAGE_ROWS } from "../protocol/limits.ts";
import type { Position } from "../protocol/models.ts";
import type { RoomChange } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import {
  readerChangesSince,
  readerNewest,
  type ReaderStanding,
  type RoomChanges,
} from "../store/room_changes.ts";

export interface CatchUpAsk {
  roomId: RoomId;
  userId: UserId;
  since: Position | undefined;
}

export interface CatchUp {
  /** Everything up to here is told. */
  seq: number;
  epoch: string;
  /** A direct room: its pushes come through the inbox. */
  isDirect: boolean;
  json: JsonText;
}

/** Undefined if the reader is not a member, or the room is gone. */
export async function readCatchUp(db: Database, ask: CatchUpAsk): Promise<CatchUp | undefined> {
  const { roomId, userId, since } = ask;
  if (since !== undefined) {
    const found = await readerChangesSince(db, {
      roomId,
      userId,
      since: since.seq,
      limit: CATCH_UP_ROWS_MAX,
    });
    if (found === undefined || !mayHear(found)) return undefined;
    const { standing, changes, more } = found;
    const bytes = changes.reduce((sum, change) => sum + change.json.length, 0);
    if (
      since.epoch === standing.epoch && since.seq <= standing.lastSeq && !more && bytes <= CATCH_UP_BYTES_MAX
    ) {
      return answer(ask, found, false);
    }
  }
  const newest = await readerNewest(db, { roomId, userId, limit: RESET_PAGE_ROWS });
  return newest === undefined || !mayHear(newest) ? undefined : answer(ask, trimToBytes(newest), true);
}

const mayHear = ({ standing }: RoomChanges<ReaderStanding>): boolean =>
  standing.role !== null && !standing.isDeleted;

/** Fifty long messages can pass the bound: keep the newest that fit, at least one. */
function trimToBytes(found: RoomChanges<ReaderStanding>): RoomChanges<ReaderStanding> {
  let bytes = 0;
  let from = found.changes.length;
  while (from > 0) {
    bytes += found.changes[from - 1]?.json.length ?? 0;
    if (bytes > CATCH_UP_BYTES_MAX && from < found.changes.length) break;
    from--;
  }
  return from === 0 ? found : { ...found, changes: found.changes.slice(from), more: true };
}

function answer(ask: CatchUpAsk, found: RoomChanges<ReaderStanding>, reset: boolean): CatchUp {
  const { standing, changes } = found;
  const of = (kind: RoomChange["kind"]) =>
    changes.filter((change) => change.kind === kind).map((change) => change.json);
  const json = jsonObject({
    roomId: toJson(ask.roomId),
    room: asJson(standing.room),
    member: asJson(standing.member),
    position: toJson({ epoch: standing.epoch, seq: standing.lastSeq }),
    since: toJson(reset ? null : ask.since?.seq ?? null),
    reset: toJson(reset),
    oldestSeq: toJson(standing.oldestSeq),
    hasMoreBefore: toJson(reset && found.more),
    messages: jsonArray(of("message")),
    members: jsonArray(of("membership")),
    readMarkers: asJson(standing.markers),
    unread: asJson(standing.unread),
  });
  return { seq: standing.lastSeq, epoch: standing.epoch, isDirect: standing.type === "DIRECT", json };
}
