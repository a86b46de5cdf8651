/** A stream that passes on what the bus brings and looks for nothing: what a chat over bare pub/sub is. */
import type { Push } from "../../../src/delivery/push.ts";
import type { StreamOptions } from "../../../src/delivery/stream.ts";

export class Stream {
  readonly #options: StreamOptions;
  #through: number | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  get through(): number | undefined {
    return this.#through;
  }

  start(seq: number): void {
    this.#through ??= seq;
  }

  offer(push: Push): void {
    if (this.#through === undefined || push.seq <= this.#through) return;
    this.#through = push.seq;
    this.#options.deliver(push);
  }

  behind(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
