/**
 * Hearing: how a connection begins to hear one room, after what it missed. The order never varies: live pushes start to
 * wait, then the primary is read, then the answer goes out, then what waited follows. What is begun either goes live
 * with the answer or is undone, and an undone room that was heard before is told of by `room_left`.
 */
import type { CatchUp } from "../delivery/catch_up.ts";
import type { Connection } from "../delivery/connection.ts";
import type { Hub } from "../delivery/hub.ts";
import type { Push } from "../delivery/push.ts";
import { roomTopic } from "../delivery/pushes.ts";
import type { Subscription } from "../delivery/subscription.ts";
import { ChatError } from "../protocol/errors.ts";
import type { RoomId } from "../protocol/ids.ts";
import { ROOMS_HEARD_MAX } from "../protocol/limits.ts";

const OVERFLOWS_MAX = 3;

/** One room about to be heard. */
export interface Heard {
  /** In the turn of the answer. */
  goLive(): void;
  /** There will be no answer. */
  undo(): void;
}

/** What was read of the room to begin with. */
type Read = Pick<CatchUp, "seq" | "isDirect">;

export interface CaughtUp<T extends Read = CatchUp> extends Heard {
  readonly catchUp: T;
}

export class Hearing {
  readonly #hub: Hub;

  constructor(uses: { hub: Hub }) {
    this.#hub = uses.hub;
  }

  hasPlace(connection: Connection, roomId: RoomId): boolean {
    return this.#hub.hears(connection, roomId) || this.#hub.roomsHeardBy(connection) < ROOMS_HEARD_MAX;
  }

  /** Live pushes wait from now on. Several rooms of one command start in the same turn, or two of them could wait for each other. */
  start(connection: Connection, roomId: RoomId): Start {
    return new Start(this.#hub, connection, roomId);
  }

  /** Rejects with what `read` throws; nothing is heard then. */
  begin(connection: Connection, roomId: RoomId, read: () => Promise<CatchUp>): Promise<CaughtUp> {
    return this.start(connection, roomId).catchUp(read);
  }

  /** Throws `not_found` if the connection does not hear the room. */
  stop(connection: Connection, roomId: RoomId): void {
    if (!this.#hub.hears(connection, roomId)) {
      throw new ChatError("not_found", "This connection does not hear the room");
    }
    this.#hub.stopHearing(connection, roomTopic(roomId));
  }
}

/** The pushes of one room wait for the answer that they follow. */
export class Start implements Heard {
  readonly roomId: RoomId;
  readonly #hub: Hub;
  readonly #connection: Connection;
  readonly #heardBefore: boolean;
  readonly #subscription: Subscription;
  #seq = 0;
  /** Whatever is read of the primary after it has settled leaves no hole before what waits. */
  readonly open: Promise<void>;

  constructor(hub: Hub, connection: Connection, roomId: RoomId) {
    this.roomId = roomId;
    this.#hub = hub;
    this.#connection = connection;
    this.#heardBefore = hub.hears(connection, roomId);
    const { subscription, open } = hub.hear(connection, roomTopic(roomId));
    this.#subscription = subscription;
    this.open = open;
  }

  /** There is nothing to catch up with: the room stood at `seq` when it was read after `open`. False if it must be read. */
  isAt(seq: number): boolean {
    this.#hub.startAt(roomTopic(this.roomId), seq);
    this.#seq = seq;
    return this.#subscription.ready;
  }

  /** Rejects with what `read` throws; nothing is heard then. */
  async catchUp<T extends Read>(read: () => Promise<T>): Promise<CaughtUp<T>> {
    try {
      await this.open;
      for (let overflows = 0; overflows < OVERFLOWS_MAX; overflows++) {
        const catchUp = await read();
        if (catchUp.isDirect) {
          this.#stop(); // its pushes come through the inbox
          return { catchUp, goLive: () => {}, undo: () => {} };
        }
        const isReady = this.isAt(catchUp.seq);
        if (this.#subscription.ended) {
          throw new ChatError("unavailable", "Asked for again, or the connection has ended");
        }
        if (isReady) return { catchUp, goLive: () => this.goLive(), undo: () => this.undo() };
        this.#subscription.restart();
      }
      throw new ChatError("busy", "More comes in than can be caught up with");
    } catch (fault) {
      this.undo();
      throw fault;
    }
  }

  /** The client says that it is told up to here. */
  told(seq: number): void {
    this.#subscription.told(seq);
  }

  /** `missed`: what is to be pushed before. */
  goLive(missed?: readonly Push[]): void {
    this.#subscription.goLive(this.#seq, missed);
  }

  undo(): void {
    if (this.#heardBefore && !this.#subscription.ended) {
      this.#connection.tellObject("room_left", { roomId: this.roomId });
    }
    this.#stop();
  }

  #stop(): void {
    this.#hub.stopHearing(this.#connection, roomTopic(this.roomId), this.#subscription);
  }
}
