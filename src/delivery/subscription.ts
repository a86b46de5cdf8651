/**
 * A subscription: one connection's wish to hear one stream. It starts by catching up: live pushes wait here
 * until the history up to a seq has been read and answered, so nothing is missed, doubled or out of order.
 */
import type { Connection } from "./connection.ts";
import type { Push } from "./push.ts";
import type { Topic } from "./pushes.ts";

const WAITING_PUSHES_MAX = 2_000;
const WAITING_BYTES_MAX = 2 * 1024 * 1024;

type State =
  | { is: "catching_up"; waiting: Push[]; bytes: number }
  | { is: "overflowed" }
  | { is: "live"; from: number }
  | { is: "ended" };

export class Subscription {
  readonly connection: Connection;
  readonly #topic: Topic;
  readonly #onEnd: () => void;
  #state: State = { is: "catching_up", waiting: [], bytes: 0 };
  #told: number | undefined;

  /** `onEnd`: the stream has told the subscriber that it hears no more. */
  constructor(connection: Connection, topic: Topic, onEnd: () => void) {
    this.connection = connection;
    this.#topic = topic;
    this.#onEnd = onEnd;
  }

  get ended(): boolean {
    return this.#state.is === "ended";
  }

  get live(): boolean {
    return this.#state.is === "live";
  }

  deliver(push: Push): void {
    const state = this.#state;
    if (!push.isFor(this.connection.userId)) return;
    if (state.is === "live") {
      if (push.seq <= state.from) return; // also an end: it was that of an earlier membership
      this.#offer(push);
      if (push.ends === "everyone" || push.ends === this.connection.userId) this.#onEnd();
    } else if (state.is === "catching_up") {
      state.waiting.push(push);
      state.bytes += push.data.length;
      if (state.waiting.length > WAITING_PUSHES_MAX || state.bytes > WAITING_BYTES_MAX) {
        this.#state = { is: "overflowed" };
      }
    }
  }

  /** Begin again: what waited is forgotten, because a new read will hold it. */
  restart(): void {
    if (this.#state.is !== "ended") this.#state = { is: "catching_up", waiting: [], bytes: 0 };
  }

  /** False if more came in than could wait: restart, and read again. */
  get ready(): boolean {
    return this.#state.is === "catching_up";
  }

  /**
   * Everything up to `seq` has been answered, or is told by `missed`: then what waited, then live. Call in the turn of the answer.
   * More may have come since than could wait; the connection is then closed, to come back and catch up.
   */
  goLive(seq: number, missed: readonly Push[] = []): void {
    if (this.#state.is === "overflowed") this.connection.close("slow_consumer");
    if (this.#state.is !== "catching_up") return;
    const { waiting } = this.#state;
    this.#state = { is: "live", from: seq };
    for (const push of missed) this.#offer(push);
    if (this.#told !== seq) this.told(seq);
    this.connection.answered();
    for (const push of waiting) this.deliver(push);
  }

  /** The client is told up to here, once what is sent next is with it. */
  told(seq: number): void {
    this.#told = seq;
    this.connection.told(this.#topic, seq);
  }

  #offer(push: Push): void {
    this.told(push.seq);
    this.connection.offer(push);
  }

  end(): void {
    this.#state = { is: "ended" };
  }
}
