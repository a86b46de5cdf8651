/** What a node reads of the primary for its streams: the rows of a hole, and which streams are behind. */
import type { RoomId, UserId } from "../protocol/ids.ts";
import type { Database } from "../store/database.ts";
import { inboxChangesSince } from "../store/inbox_changes.ts";
import { roomChangesSince } from "../store/room_changes.ts";
import { inboxesAhead, readEpoch, roomsAhead } from "../store/rooms.ts";
import type { Push } from "./push.ts";
import { repairedInboxPushes, repairedRoomPushes, type Topic } from "./pushes.ts";

const ROWS_A_READ = 500;

export class StreamReader {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** As Stream asks for it. */
  async readSince(
    topic: Topic,
    since: number,
    known: number,
  ): Promise<{ through: number; pushes: Push[]; more: boolean }> {
    if (topic.startsWith("inbox:")) {
      const userId = topic.slice("inbox:".length) as UserId;
      const found = await inboxChangesSince(this.#db, userId, since, ROWS_A_READ);
      if (found === undefined) return { through: since, pushes: [], more: false };
      // a place may hold two rows, and the next read begins after it: they are told together or not yet
      const cut = found.more ? found.rows.at(-1)?.inboxSeq : undefined;
      const whole = found.rows.filter((row) => row.inboxSeq !== cut);
      const rows = whole.length === 0 ? found.rows : whole;
      const through = found.more ? (rows.at(-1)?.inboxSeq ?? since) : found.lastSeq;
      return { through, pushes: repairedInboxPushes(rows, since, through, userId), more: found.more };
    }
    const found = await roomChangesSince(this.#db, topic.slice("room:".length) as RoomId, since, ROWS_A_READ);
    if (found === undefined) return { through: since, pushes: [], more: false };
    const through = found.more ? (found.changes.at(-1)?.seq ?? since) : found.standing.lastSeq;
    return { through, pushes: repairedRoomPushes(found, { since, known, through }), more: found.more };
  }

  epoch(): Promise<string> {
    return readEpoch(this.#db);
  }

  async ahead(seen: ReadonlyMap<Topic, number>): Promise<Map<Topic, number>> {
    const rooms = new Map<RoomId, number>();
    const inboxes = new Map<UserId, number>();
    for (const [topic, seq] of seen) {
      if (topic.startsWith("room:")) rooms.set(topic.slice("room:".length) as RoomId, seq);
      else inboxes.set(topic.slice("inbox:".length) as UserId, seq);
    }
    const [roomSeqs, inboxSeqs] = await Promise.all([
      rooms.size === 0 ? new Map<RoomId, number>() : roomsAhead(this.#db, rooms),
      inboxes.size === 0 ? new Map<UserId, number>() : inboxesAhead(this.#db, inboxes),
    ]);
    const ahead = new Map<Topic, number>();
    for (const [roomId, seq] of roomSeqs) ahead.set(`room:${roomId}`, seq);
    for (const [userId, seq] of inboxSeqs) ahead.set(`inbox:${userId}`, seq);
    return ahead;
  }
}
