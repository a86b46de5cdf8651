/**
 * Recovery: a connection that goes on where an earlier one ended. It hears the same rooms again, and what it missed comes
 * as the pushes that it would have had, before live ones; or, if anything of that cannot be had, nothing is recovered.
 * What it says of itself is checked like any other wish: whoever is no longer a member hears nothing.
 */
import type { Connection } from "../delivery/connection.ts";
import { bytesOf, type Missed, readMissedOfInbox, readMissedOfRoom } from "../delivery/missed.ts";
import type { Subscription } from "../delivery/subscription.ts";
import type { RoomId } from "../protocol/ids.ts";
import { SYNC_BYTES_MAX } from "../protocol/limits.ts";
import type { Database } from "../store/database.ts";
import { listStandings } from "../store/memberships.ts";
import type { Hearing, Start } from "./hearing.ts";

/** How far a client is told: of its inbox, and of every room that it hears. */
export interface Told {
  epoch: string;
  inbox: number;
  rooms: ReadonlyMap<RoomId, number>;
}

/** A connection that has just begun; its inbox is held back. */
export interface Begun {
  connection: Connection;
  inbox: Subscription;
  epoch: string;
  inboxSeq: number;
}

const READS_AT_ONCE = 4;
const NOTHING: Missed["pushes"] = [];

/** What cannot be recovered is no fault. */
class Lost extends Error {}

export class Recovery {
  readonly #db: Database;
  readonly #hearing: Hearing;

  constructor(uses: { db: Database; hearing: Hearing }) {
    this.#db = uses.db;
    this.#hearing = uses.hearing;
  }

  /** What to do once the client has been greeted: it is told what it missed, then hears on. Undefined: not recovered. */
  async begin(begun: Begun, told: Told): Promise<(() => void) | undefined> {
    const { connection, epoch, inboxSeq, inbox } = begun;
    if (told.epoch !== epoch || told.inbox > inboxSeq) return undefined;
    // all in one turn: two that begin the same streams in another order would wait for each other
    const starts = [...told.rooms.keys()].map((roomId) => this.#hearing.start(connection, roomId));
    try {
      const missed = await this.#read(begun, told, starts);
      inbox.told(told.inbox);
      for (const start of starts) start.told(told.rooms.get(start.roomId) ?? 0);
      return () => {
        inbox.goLive(missed.inbox.seq, missed.inbox.pushes);
        for (const start of starts) start.goLive(missed.rooms.get(start.roomId));
      };
    } catch (fault) {
      for (const start of starts) start.undo();
      if (fault instanceof Lost) return undefined;
      throw fault;
    }
  }

  async #read(
    { connection: { userId }, epoch }: Begun,
    told: Told,
    starts: readonly Start[],
  ): Promise<{ inbox: Missed; rooms: Map<RoomId, Missed["pushes"]> }> {
    await Promise.all(starts.map((start) => start.open));
    const standings = await listStandings(this.#db, userId);
    if (standings.epoch !== epoch) throw new Lost();
    const inbox = standings.inboxSeq === told.inbox
      ? { seq: told.inbox, pushes: NOTHING }
      : orLost(await readMissedOfInbox(this.#db, userId, told.inbox));
    const lastSeqs = new Map(standings.rooms.map(({ roomId, lastSeq }) => [roomId, lastSeq]));
    const rooms = new Map<RoomId, Missed["pushes"]>();
    let bytes = bytesOf(inbox);
    const work = starts.values();
    const workers = Array.from({ length: READS_AT_ONCE }, async () => {
      for (const start of work) {
        const { roomId } = start;
        const seq = told.rooms.get(roomId) ?? 0;
        if (lastSeqs.get(roomId) === seq && start.isAt(seq)) continue;
        const read = () => readMissedOfRoom(this.#db, { roomId, userId, since: { epoch, seq } });
        const { catchUp } = await start.catchUp(async () => ({ ...orLost(await read()), isDirect: false }));
        rooms.set(roomId, catchUp.pushes);
        bytes += bytesOf(catchUp);
        if (bytes > SYNC_BYTES_MAX) throw new Lost();
      }
    });
    const failed = (await Promise.allSettled(workers)).find((worker) => worker.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return { inbox, rooms };
  }
}

function orLost<T>(found: T | undefined): T {
  if (found === undefined) throw new Lost();
  return found;
}
