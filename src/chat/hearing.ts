/**
 * Hearing: how a connection begins to hear one room, after what it missed. The order never varies: live pushes start to
 * wait, then the primary is read, then the answer goes out, then what waited follows. What is begun either goes live
 * with the answer or is undone, and an undone room that was heard before is told of by `room_left`.
 */
import type { CatchUp } from "../delivery/catch_up.ts";
import type { Connection } from "../delivery/connection.ts";
import type { Hub } from "../delivery/hub.ts";
import { roomTopic } from "../delivery/pushes.ts";
import { ChatError } from "../protocol/errors.ts";
import type { RoomId } from "../protocol/ids.ts";
import { ROOMS_HEARD_MAX } from "../protocol/limits.ts";

const OVERFLOWS_MAX = 3;

/** One room about to be heard. */
export interface Heard {
  readonly catchUp: CatchUp;
  /** In the turn of the answer. */
  goLive(): void;
  /** There will be no answer. */
  undo(): void;
}

export class Hearing {
  readonly #hub: Hub;

  constructor(uses: { hub: Hub }) {
    this.#hub = uses.hub;
  }

  hasPlace(connection: Connection, roomId: RoomId): boolean {
    return this.#hub.hears(connection, roomId) || this.#hub.roomsHeardBy(connection) < ROOMS_HEARD_MAX;
  }

  /** Rejects with what `read` throws; nothing is heard then. */
  async begin(connection: Connection, roomId: RoomId, read: () => Promise<CatchUp>): Promise<Heard> {
    const topic = roomTopic(roomId);
    const heardBefore = this.#hub.hears(connection, roomId);
    const { subscription, open } = this.#hub.hear(connection, topic);
    const stop = () => this.#hub.stopHearing(connection, topic, subscription);
    const undo = () => {
      if (heardBefore && !subscription.ended) connection.tellObject("room_left", { roomId });
      stop();
    };
    try {
      await open;
      for (let overflows = 0; overflows < OVERFLOWS_MAX; overflows++) {
        const catchUp = await read();
        if (catchUp.isDirect) {
          stop(); // its pushes come through the inbox
          return { catchUp, goLive: () => {}, undo: () => {} };
        }
        this.#hub.startAt(topic, catchUp.seq);
        if (subscription.ended) {
          throw new ChatError("unavailable", "Asked for again, or the connection has ended");
        }
        if (subscription.ready) return { catchUp, goLive: () => subscription.goLive(catchUp.seq), undo };
        subscription.restart();
      }
      throw new ChatError("busy", "More comes in than can be caught up with");
    } catch (fault) {
      undo();
      throw fault;
    }
  }

  /** Throws `not_found` if the connection does not hear the room. */
  stop(connection: Connection, roomId: RoomId): void {
    if (!this.#hub.hears(connection, roomId)) {
      throw new ChatError("not_found", "This connection does not hear the room");
    }
    this.#hub.stopHearing(connection, roomTopic(roomId));
  }
}
