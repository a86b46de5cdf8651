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
import type { Heard, Hearing } from "./hearing.ts";
import { refusal } from "./refusals.ts";

const READS_AT_ONCE = 4;

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
    const known = new Map(Object.entries(ask.positions)) as Map<RoomId, Position>;
    const { epoch, inboxSeq, rooms } = await listStandings(this.#db, call.actor.userId);
    const mine = new Set(rooms.map((room) => room.roomId));
    const gone = [...known.keys()].filter((roomId) => !mine.has(roomId));
    const gathered: Gathered = { told: [], bytes: 0, more: false, gone, unheard: [], begun: [] };

    const work = rooms.filter(({ lastSeq, type }) => type !== "DIRECT" || lastSeq > 0).values();
    const workers = Array.from({ length: READS_AT_ONCE }, async () => {
      for (const room of work) await this.#take(call, room, known.get(room.roomId), epoch, gathered);
    });
    const failed = (await Promise.allSettled(workers)).find((worker) => worker.status === "rejected");
    if (failed !== undefined) {
      for (const heard of gathered.begun) heard.undo();
      throw failed.reason;
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

  /** One room: nothing to tell if the position is current; a socket hears it in any case. */
  async #take(
    call: Call,
    room: Standing,
    since: Position | undefined,
    epoch: string,
    into: Gathered,
  ): Promise<void> {
    const current = since?.epoch === epoch && since.seq === room.lastSeq;
    if (into.bytes > SYNC_BYTES_MAX && !current) {
      into.more = true;
      return;
    }
    const found = await this.#catchUp(call, room, since, current, into);
    if (found === "gone") into.gone.push(room.roomId);
    else if (found !== undefined && !(found.epoch === since?.epoch && found.seq === since.seq)) {
      into.told.push(found.json);
      into.bytes += found.json.length;
    }
  }

  async #catchUp(
    { actor, connection }: Call,
    { roomId, type }: Standing,
    since: Position | undefined,
    current: boolean,
    into: Gathered,
  ): Promise<CatchUp | undefined | "gone"> {
    const read = () => readCatchUp(this.#db, { roomId, userId: actor.userId, since });
    const hears = connection !== undefined && type !== "DIRECT";
    if (hears && !this.#hearing.hasPlace(connection, roomId)) into.unheard.push(roomId);
    else if (hears) {
      try {
        const heard = await this.#hearing.begin(connection, roomId, async () => {
          const found = await read();
          if (found === undefined) throw refusal("not_found");
          return found;
        });
        into.begun.push(heard);
        return heard.catchUp;
      } catch (fault) {
        if (fault instanceof ChatError && fault.code === "not_found") return "gone";
        throw fault;
      }
    }
    return current ? undefined : await read() ?? "gone";
  }
}
