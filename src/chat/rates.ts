/**
 * Rates: how fast one user may ask, over all their connections to this node: token buckets for commands, and narrower
 * ones for what every member of a room is told of. Refused is told with how long to wait; nothing queues here.
 */
import { ChatError } from "../protocol/errors.ts";
import type { UserId } from "../protocol/ids.ts";

export interface RateOptions {
  /** Of any command; 0 for no limit. */
  commandsPerSecond: number;
  /** Of changes to rooms and memberships; 0 for no limit. */
  changesPerSecond: number;
}

/** A bucket holds this many seconds' worth: a client that comes back may ask for much at once. */
const BURST_SECONDS = 10;
const FORGET_MS = 60_000;

interface Bucket {
  tokens: number;
  at: number;
}

export class Rates {
  readonly #commands: Buckets;
  readonly #changes: Buckets;

  constructor(options: RateOptions) {
    this.#commands = new Buckets(options.commandsPerSecond);
    this.#changes = new Buckets(options.changesPerSecond);
  }

  /** Throws `rate_limited`. */
  takeCommand(userId: UserId): void {
    this.#commands.take(userId);
  }

  takeChange(userId: UserId): void {
    this.#changes.take(userId);
  }
}

class Buckets {
  readonly #perSecond: number;
  readonly #buckets = new Map<UserId, Bucket>();
  #swept = performance.now();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  take(userId: UserId): void {
    if (this.#perSecond === 0) return;
    const now = performance.now();
    const full = this.#perSecond * BURST_SECONDS;
    const bucket = this.#buckets.get(userId) ?? { tokens: full, at: now };
    bucket.tokens = Math.min(full, bucket.tokens + (now - bucket.at) / 1000 * this.#perSecond);
    bucket.at = now;
    this.#buckets.set(userId, bucket);
    if (now - this.#swept > FORGET_MS) this.#forgetFull(now);
    if (bucket.tokens < 1) {
      const retryAfterMs = Math.ceil((1 - bucket.tokens) / this.#perSecond * 1000);
      throw new ChatError("rate_limited", undefined, { retryAfterMs });
    }
    bucket.tokens--;
  }

  #forgetFull(now: number): void {
    this.#swept = now;
    for (const [userId, { at }] of this.#buckets) if (now - at > FORGET_MS) this.#buckets.delete(userId);
  }
}
