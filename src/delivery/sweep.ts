/** The sweep: walks this node's streams in slices, once a period, for holes that no later push would show. */
import type { Hub } from "./hub.ts";
import type { Topic } from "./pushes.ts";

const SLICE = 1_000;

export class Sweep implements AsyncDisposable {
  readonly #hub: Hub;
  readonly #periodMs: number;
  #left: Topic[] = [];
  #timer: ReturnType<typeof setTimeout>;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(hub: Hub, periodMs: number) {
    this.#hub = hub;
    this.#periodMs = periodMs;
    this.#timer = setTimeout(() => this.#step(), periodMs);
  }

  #step(): void {
    if (this.#left.length === 0) this.#left = this.#hub.topics();
    const slices = Math.max(1, Math.ceil(this.#hub.topics().length / SLICE));
    this.#running = this.#hub.sweep(this.#left.splice(0, SLICE)).then(() => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.#step(), this.#periodMs / slices);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
