/**
 * Synchronisation: all rooms of a user against the positions they have, in one call; a socket hears them afterwards. What
 * does not fit into one answer is said (`more`), and so is a room that a socket has no place for (`unheard`).
 */
import { type CatchUp, readCatchUp } from "../delivery/catch_up.ts";
import type { CommandInput } from "../protocol/commands.ts";
import { ChatError } from "../protocol/errors.ts";
import type { RoomId } from "../protocol/ids.ts";
import { jsonArray, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import { SYNC_BYTES_MAX } from "../protocol/limits.ts";
import type { Position } from "../protocol/models.ts";
import type { Database } from "../store/database.ts";
import { listStandings, type Standing } from "../store/memberships.ts";
import type { Call } from "./actor.ts";
import type { Heard, Hearing, Start } from "./hearing.ts";
import { refusal } from "./refusals.ts";

const READS_AT_ONCE = 4;

type Known = Map<RoomId, Position>;

/** A room to be read, and its pushes if they wait already. */
interface Work {
  room: Standing;
  start?: Start | undefined;
}

/** What one sync has gathered so far. */
interface Gathered {
  told: JsonText[];
  bytes: number;
  more: boolean;
  gone: RoomId[];
  unheard: RoomId[];
  begun: Heard[];
}

export class Synchronisation {
  readonly #db: Database;
  readonly #hearing: Hearing;

  constructor(uses: { db: Database; hearing: Hearing }) {
    this.#db = uses.db;
    this.#hearing = uses.hearing;
  }

  async sync(call: Call, ask: CommandInput<"sync">): Promise<JsonText> {
    const known = new Map(Object.entries(ask.positions)) as Known;
    const { epoch, inboxSeq, rooms } = await listStandings(this.#db, call.actor.userId);
    const mine = new Set(rooms.map((room) => room.roomId));
    const gone = [...known.keys()].filter((roomId) => !mine.has(roomId));
    const gathered: Gathered = { told: [], bytes: 0, more: false, gone, unheard: [], begun: [] };
    try {
      const behind = await this.#takeCurrent(call, rooms, known, epoch, gathered);
      await this.#takeBehind(call, behind, known, epoch, gathered);
    } catch (fault) {
      for (const heard of gathered.begun) heard.undo();
      throw fault;
    }
    call.afterAnswer(() => {
      for (const heard of gathered.begun) heard.goLive();
    });
    return jsonObject({
      epoch: toJson(epoch),
      inbox: toJson({ epoch, seq: inboxSeq }),
      rooms: jsonArray(gathered.told),
      gone: toJson(gathered.gone),
      unheard: toJson(gathered.unheard),
      more: toJson(gathered.more),
    });
  }

  /**
   * Rooms of which there is nothing to tell are heard all together: most of those of a client that was away for seconds,
   * and when a node has died, thousands of such clients come at once. Answers the others.
   */
  async #takeCurrent(
    call: Call,
    rooms: readonly Standing[],
    known: Known,
    epoch: string,
    into: Gathered,
  ): Promise<Work[]> {
    const { actor, connection } = call;
    const work: Work[] = [];
    const starts: Start[] = [];
    for (const room of rooms) {
      if (room.type === "DIRECT" && room.lastSeq === 0) continue;
      const isCurrent = isAt(known.get(room.roomId), epoch, room.lastSeq);
      const hears = connection !== undefined && room.type !== "DIRECT";
      if (!isCurrent || (hears && !this.#hearing.hasPlace(connection, room.roomId))) work.push({ room });
      else if (hears) starts.push(this.#hearing.start(connection, room.roomId));
    }
    if (starts.length === 0) return work;
    into.begun.push(...starts);
    await Promise.all(starts.map((start) => start.open));
    const now = await listStandings(this.#db, actor.userId);
    const standings = new Map(now.rooms.map((room) => [room.roomId, room]));
    for (const start of starts) {
      const room = standings.get(start.roomId);
      if (room === undefined) {
        start.undo();
        into.gone.push(start.roomId);
      } else if (!isAt(known.get(room.roomId), now.epoch, room.lastSeq) || !start.isAt(room.lastSeq)) {
        work.push({ room, start });
      }
    }
    return work;
  }

  async #takeBehind(
    call: Call,
    behind: readonly Work[],
    known: Known,
    epoch: string,
    into: Gathered,
  ): Promise<void> {
    const work = behind.values();
    const workers = Array.from({ length: READS_AT_ONCE }, async () => {
      for (const each of work) await this.#take(call, each, known.get(each.room.roomId), epoch, into);
    });
    const failed = (await Promise.allSettled(workers)).find((worker) => worker.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** One room: nothing to tell if the position is current; a socket hears it in any case. */
  async #take(
    call: Call,
    { room, start }: Work,
    since: Position | undefined,
    epoch: string,
    into: Gathered,
  ): Promise<void> {
    const current = isAt(since, epoch, room.lastSeq);
    if (into.bytes > SYNC_BYTES_MAX && !current && start === undefined) {
      into.more = true;
      return;
    }
    const found = await this.#catchUp(call, { room, start }, since, current, into);
    if (found === "gone") into.gone.push(room.roomId);
    else if (found !== undefined && !(found.epoch === since?.epoch && found.seq === since.seq)) {
      into.told.push(found.json);
      into.bytes += found.json.length;
    }
  }

  async #catchUp(
    { actor, connection }: Call,
    { room: { roomId, type }, start }: Work,
    since: Position | undefined,
    current: boolean,
    into: Gathered,
  ): Promise<CatchUp | undefined | "gone"> {
    const read = () => readCatchUp(this.#db, { roomId, userId: actor.userId, since });
    const hears = connection !== undefined && type !== "DIRECT";
    if (hears && start === undefined && !this.#hearing.hasPlace(connection, roomId)) {
      into.unheard.push(roomId);
    } else if (hears) {
      try {
        const beginning = start ?? this.#hearing.start(connection, roomId);
        const heard = await beginning.catchUp(async () => {
          const found = await read();
          if (found === undefined) throw refusal("not_found");
          return found;
        });
        if (start === undefined) into.begun.push(heard);
        return heard.catchUp;
      } catch (fault) {
        if (fault instanceof ChatError && fault.code === "not_found") return "gone";
        throw fault;
      }
    }
    return current ? undefined : await read() ?? "gone";
  }
}

const isAt = (position: Position | undefined, epoch: string, seq: number): boolean =>
  position?.epoch === epoch && position.seq === seq;
