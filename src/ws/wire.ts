/** The native wire: how pushes look, and how frames leave: one by one, or gathered for clients that offered it. */
import type { Wire } from "../delivery/push.ts";
import { encodePush } from "../protocol/envelope.ts";

export const nativeWire: Wire = { name: "native", encodePush };

const GATHER_MS = 10;

/**
 * Gathers envelopes into arrays: what follows within 10 ms of a frame waits for the end of those 10 ms; after a
 * quiet time the first leaves at once. A busy room costs a quarter of the sends, a quiet one no latency.
 */
export class Gatherer {
  readonly #send: (frame: string) => void;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (frame: string) => void) {
    this.#send = send;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  add(envelope: string): void {
    if (this.#timer === undefined) {
      this.#send(envelope);
      this.#timer = setTimeout(() => this.#flush(), GATHER_MS);
    } else {
      this.#waiting.push(envelope);
      this.#waitingBytes += envelope.length;
    }
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    const frame = this.#waiting.length === 1 ? this.#waiting[0]! : `[${this.#waiting.join(",")}]`;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#send(frame);
    this.#timer = setTimeout(() => this.#flush(), GATHER_MS);
  }

  /** Sends what waits; nothing is gathered any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#flush();
    clearTimeout(this.#timer);
  }
}
