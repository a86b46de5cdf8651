/**
 * The polling transport's way out: packets wait here for the client's GET, and one GET waits here for packets. What
 * comes in one turn leaves in one payload.
 */
import { type Packet, toPayload, weightOf } from "./packets.ts";

/** For the last packets, until the client asks again. */
const LINGER_MS = 5_000;
const NOOP: Packet = { type: "noop" };
const CLOSE: Packet = { type: "close" };

interface Waiting {
  answer(payload: string): void;
}

export class Polling {
  #queue: Packet[] = [];
  #weight = 0;
  #waiting: Waiting | undefined;
  #isLeaving = false;
  #linger: ReturnType<typeof setTimeout> | undefined;
  #onDone: (() => void) | undefined;
  /** An upgrade is under way: nobody waits, so that the client can stop asking. */
  isHurried = false;

  get queuedBytes(): number {
    return this.#weight;
  }

  /** A ping that has not been fetched cannot have been answered. */
  get holdsPing(): boolean {
    return this.#queue.some(({ type }) => type === "ping");
  }

  send(packet: Packet): void {
    this.#queue.push(packet);
    this.#weight += weightOf(packet);
    if (this.#isLeaving || this.#waiting === undefined) return;
    this.#isLeaving = true;
    queueMicrotask(() => {
      this.#isLeaving = false;
      if (this.#queue.length > 0) this.#waiting?.answer(this.#take());
    });
  }

  /** The next payload; `onAbort` if the client goes before there is one. One at a time. */
  async next(signal: AbortSignal, onAbort: () => void): Promise<string> {
    if (this.#onDone !== undefined) {
      const payload = this.#take(CLOSE);
      this.#leave();
      return payload;
    }
    if (this.#queue.length > 0) return this.#take();
    if (this.isHurried) return toPayload([NOOP]);
    const { promise, resolve } = Promise.withResolvers<string>();
    const aborted = (): void => {
      this.#waiting = undefined;
      onAbort();
      resolve("");
    };
    this.#waiting = {
      answer: (payload) => {
        // the runtime also aborts what has been answered
        signal.removeEventListener("abort", aborted);
        this.#waiting = undefined;
        resolve(payload);
      },
    };
    if (signal.aborted) aborted();
    else signal.addEventListener("abort", aborted);
    return await promise;
  }

  /** Whoever waits gets nothing more by polling. */
  release(): void {
    this.#waiting?.answer(this.#queue.length > 0 ? this.#take() : toPayload([NOOP]));
  }

  /** The end, at once: what has not been fetched is lost. */
  abandon(): void {
    this.#waiting?.answer(toPayload([CLOSE]));
    this.#take();
    this.#leave();
  }

  /** The end, told with the next payload if the client comes for it; `onDone` then, or after a while. */
  finish(onDone: () => void): void {
    this.#onDone = onDone;
    if (this.#waiting === undefined) {
      this.#linger = setTimeout(() => this.abandon(), LINGER_MS);
    } else {
      this.#waiting.answer(this.#take(CLOSE));
      this.#leave();
    }
  }

  /** What is left, for another transport. */
  takeAll(): Packet[] {
    const left = this.#queue;
    this.#queue = [];
    this.#weight = 0;
    return left;
  }

  #take(...last: Packet[]): string {
    return toPayload([...this.takeAll(), ...last]);
  }

  #leave(): void {
    clearTimeout(this.#linger);
    this.#onDone?.();
  }
}
