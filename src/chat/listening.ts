/**
 * Listening: a connection begins to hear rooms, after what it missed. The order never varies: live pushes start
 * to wait, then the primary is read, then the answer goes out, then what waited follows.
 */
import { type CatchUp, readCatchUp } from "../delivery/catch_up.ts";
import type { Connection } from "../delivery/connection.ts";
import type { Hub } from "../delivery/hub.ts";
import { roomTopic } from "../delivery/pushes.ts";
import type { CommandInput } from "../protocol/commands.ts";
import { ChatError } from "../protocol/errors.ts";
import type { RoomId } from "../protocol/ids.ts";
import { jsonArray, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import { ROOMS_HEARD_MAX, SYNC_BYTES_MAX } from "../protocol/limits.ts";
import type { Position } from "../protocol/models.ts";
import { listStandings, type Standing } from "../store/memberships.ts";
import type { Actor, Call } from "./actor.ts";
import type { Memberships } from "./memberships.ts";
import { refusal } from "./refusals.ts";
import type { RoomRules } from "./room_rules.ts";

const READS_AT_ONCE = 4;
const OVERFLOWS_MAX = 3;

export class Listening {
  readonly #rules: RoomRules;
  readonly #memberships: Memberships;
  readonly #hub: Hub;

  constructor(uses: { rules: RoomRules; memberships: Memberships; hub: Hub }) {
    this.#rules = uses.rules;
    this.#memberships = uses.memberships;
    this.#hub = uses.hub;
  }

  /** REST: become a member. A socket: also hear the room, joining first only if that is needed. */
  async join(call: Call, ask: CommandInput<"join_room">): Promise<JsonText> {
    const { actor, connection } = call;
    if (connection === undefined) {
      await this.#memberships.join(actor, ask.roomId);
      return (await this.#read(actor, ask.roomId, ask.since)).json;
    }
    if (!this.#hub.hears(connection, ask.roomId) && this.#hub.roomsHeardBy(connection) >= ROOMS_HEARD_MAX) {
      throw new ChatError("conflict", `roomId: a connection hears at most ${ROOMS_HEARD_MAX} rooms`, {
        field: "roomId",
      });
    }
    const told = { before: (found: CatchUp) => call.acked || connection.tell("room_joined", found.json) };
    return (await this.#hear(
      call,
      connection,
      ask.roomId,
      told,
      async () =>
        await readCatchUp(this.#rules.db, { roomId: ask.roomId, userId: actor.userId, since: ask.since }) ??
          await this.#memberships.join(actor, ask.roomId).then(() =>
            this.#read(actor, ask.roomId, ask.since)
          ),
    )).json;
  }

  async leave(call: Call, ask: CommandInput<"leave_room">): Promise<JsonText> {
    const { actor, connection } = call;
    const answer = toJson({ roomId: ask.roomId });
    if (connection === undefined || ask.membership === true) {
      // the stream ends the subscription when it passes the change, so that user_left is still heard
      await this.#memberships.leave(actor, ask.roomId);
    } else {
      if (!this.#hub.hears(connection, ask.roomId)) {
        throw new ChatError("not_found", "This connection does not hear the room");
      }
      this.#hub.stopHearing(connection, roomTopic(ask.roomId));
    }
    if (!call.acked) connection?.tell("room_left", answer);
    return answer;
  }

  /** All rooms of the actor against the positions they have; a socket hears them afterwards. */
  async sync(call: Call, ask: CommandInput<"sync">): Promise<JsonText> {
    const { actor, connection } = call;
    const known = new Map(Object.entries(ask.positions)) as Map<RoomId, Position>;
    const standings = await listStandings(this.#rules.db, actor.userId);
    const { epoch, inboxSeq } = standings;
    const mine = new Set(standings.rooms.map((room) => room.roomId));
    const gone = [...known.keys()].filter((roomId) => !mine.has(roomId));

    const rooms = standings.rooms.filter(({ lastSeq, type }) => type !== "DIRECT" || lastSeq > 0);
    const told: JsonText[] = [];
    let bytes = 0;
    let more = false;
    const work = rooms.values();
    const worker = async (): Promise<void> => {
      for (const room of work) {
        if (bytes > SYNC_BYTES_MAX) {
          more ||= !isCurrent(room, known.get(room.roomId), epoch);
          continue;
        }
        const found = await this.#catchUpIn(call, connection, room, known.get(room.roomId), epoch);
        if (found === "gone") gone.push(room.roomId);
        if (found === undefined || found === "gone") continue;
        told.push(found.json);
        bytes += found.json.length;
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, worker));
    return jsonObject({
      epoch: toJson(epoch),
      inbox: toJson({ epoch, seq: inboxSeq }),
      rooms: jsonArray(told),
      gone: toJson(gone),
      more: toJson(more),
    });
  }

  /** One room of a sync: nothing to tell if the position is current; a socket hears it in any case. */
  async #catchUpIn(
    call: Call,
    connection: Connection | undefined,
    room: Standing,
    since: Position | undefined,
    epoch: string,
  ): Promise<CatchUp | undefined | "gone"> {
    const read = () => readCatchUp(this.#rules.db, { roomId: room.roomId, userId: call.actor.userId, since });
    const hearable = connection !== undefined && room.type !== "DIRECT" &&
      (this.#hub.hears(connection, room.roomId) || this.#hub.roomsHeardBy(connection) < ROOMS_HEARD_MAX);
    if (!hearable) return isCurrent(room, since, epoch) ? undefined : await read() ?? "gone";
    try {
      const found = await this.#hear(call, connection, room.roomId, { before: () => {} }, async () => {
        const catchUp = await read();
        if (catchUp === undefined) throw refusal("not_found");
        return catchUp;
      });
      return found.epoch === since?.epoch && found.seq === since.seq ? undefined : found;
    } catch (fault) {
      if (fault instanceof ChatError && fault.code === "not_found") return "gone";
      throw fault;
    }
  }

  async #hear(
    call: Call,
    connection: Connection,
    roomId: RoomId,
    told: { before: (found: CatchUp) => unknown },
    read: () => Promise<CatchUp>,
  ): Promise<CatchUp> {
    const topic = roomTopic(roomId);
    const { subscription, open } = this.#hub.hear(connection, topic);
    try {
      await open;
      for (let overflows = 0; overflows < OVERFLOWS_MAX; overflows++) {
        const found = await read();
        this.#hub.startAt(topic, found.seq);
        if (subscription.ready) {
          call.afterAnswer(() => {
            told.before(found);
            subscription.goLive(found.seq);
          });
          return found;
        }
        if (subscription.ended) throw new ChatError("not_found", "The membership has just ended");
        subscription.restart();
      }
      throw new ChatError("busy", "More comes in than can be caught up with");
    } catch (fault) {
      this.#hub.stopHearing(connection, topic, subscription);
      throw fault;
    }
  }

  async #read(actor: Actor, roomId: RoomId, since: Position | undefined): Promise<CatchUp> {
    const found = await readCatchUp(this.#rules.db, { roomId, userId: actor.userId, since });
    if (found === undefined) throw await this.#rules.refuse(actor, "not_member", roomId);
    return found;
  }
}

const isCurrent = (room: Standing, since: Position | undefined, epoch: string): boolean =>
  since !== undefined && since.epoch === epoch && since.seq === room.lastSeq;
