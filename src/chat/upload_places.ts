/**
 * Places for uploads: how many bodies a node, and one user on it, may send at once. Whoever finds none is told before a
 * byte of the body is read, and comes again.
 */
import { ChatError } from "../protocol/errors.ts";
import type { UserId } from "../protocol/ids.ts";

const WAIT_MS = 1_000;
const WAIT_MS_MAX = 15_000;
const STRETCH_MS = 5_000;

export class UploadPlaces {
  readonly #max: number;
  readonly #maxOfUser: number;
  readonly #users = new Map<UserId, number>();
  #taken = 0;
  /** Refused in the present stretch of time. */
  #refused = { stretch: 0, count: 0 };

  constructor(limits: { max: number; maxOfUser: number }) {
    this.#max = limits.max;
    this.#maxOfUser = limits.maxOfUser;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Throws `busy`. */
  take(userId: UserId): Disposable {
    const own = this.#users.get(userId) ?? 0;
    if (this.#taken >= this.#max) {
      throw new ChatError("busy", "Too many files are being uploaded", { retryAfterMs: this.#waitMs() });
    }
    if (own >= this.#maxOfUser) {
      throw new ChatError("busy", `You are uploading ${own} files already`, { retryAfterMs: WAIT_MS });
    }
    this.#taken++;
    this.#users.set(userId, own + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#taken--;
        const left = (this.#users.get(userId) ?? 1) - 1;
        if (left === 0) this.#users.delete(userId);
        else this.#users.set(userId, left);
      },
    };
  }

  /** The more are refused at once, the later they are to come again: else all would come at once again. */
  #waitMs(): number {
    const stretch = Math.floor(performance.now() / STRETCH_MS);
    if (this.#refused.stretch !== stretch) this.#refused = { stretch, count: 0 };
    this.#refused.count++;
    return Math.min(WAIT_MS + WAIT_MS * Math.floor(this.#refused.count / this.#max), WAIT_MS_MAX);
  }
}
