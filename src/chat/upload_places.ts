/**
 * Places for uploads: how many bodies a node, and one user on it, may send at once. Whoever finds none is told before a
 * byte of the body is read, and comes again.
 */
import { ChatError } from "../protocol/errors.ts";
import type { UserId } from "../protocol/ids.ts";

export class UploadPlaces {
  readonly #max: number;
  readonly #maxOfUser: number;
  readonly #users = new Map<UserId, number>();
  #taken = 0;

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
      throw new ChatError("busy", "Too many files are being uploaded", { retryAfterMs: 1_000 });
    }
    if (own >= this.#maxOfUser) {
      throw new ChatError("busy", `You are uploading ${own} files already`, { retryAfterMs: 1_000 });
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
}
