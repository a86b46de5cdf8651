/**
 * The sweep: walks this node's streams in slices, once a period, for holes that no later push would show. While the bus
 * is down it is all that other nodes' changes come by, and goes round faster; after a gap of the bus it goes at once.
 */
import type { Bus } from "../bus/bus.ts";
import type { Hub } from "./hub.ts";
import type { Topic } from "./pushes.ts";

const SLICE = 1_000;
/** While the bus is down: a round, and at least between slices. */
const DOWN_PERIOD_MS = 1_000;
const DOWN_SLICE_MS = 50;

export class Sweep implements AsyncDisposable {
  readonly #hub: Hub;
  readonly #bus: Bus;
  readonly #periodMs: number;
  #left: Topic[] = [];
  /** To be compared before all others. */
  #urgent: Topic[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(hub: Hub, bus: Bus, periodMs: number) {
    this.#hub = hub;
    this.#bus = bus;
    this.#periodMs = periodMs;
    bus.onGap((topics) => this.#soon(topics));
    this.#timer = setTimeout(() => this.#step(), this.#waitMs());
  }

  #soon(topics: readonly string[] | undefined): void {
    this.#urgent = topics === undefined ? this.#hub.topics() : [...this.#urgent, ...topics as Topic[]];
    if (this.#running === undefined) this.#step();
  }

  #step(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const isRound = this.#left.length === 0;
    if (this.#urgent.length === 0 && isRound) this.#left = this.#hub.topics();
    const slice = this.#urgent.length > 0 ? this.#urgent.splice(0, SLICE) : this.#left.splice(0, SLICE);
    this.#running = this.#hub.sweep(slice, isRound).then(() => {
      this.#running = undefined;
      if (!this.#stopped) this.#timer = setTimeout(() => this.#step(), this.#waitMs());
    });
  }

  #waitMs(): number {
    if (this.#urgent.length > 0) return 0;
    const slices = Math.max(1, Math.ceil(this.#hub.topics().length / SLICE));
    if (this.#bus.isUp) return this.#periodMs / slices;
    return Math.min(this.#periodMs, Math.max(DOWN_PERIOD_MS, DOWN_SLICE_MS * slices)) / slices;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
