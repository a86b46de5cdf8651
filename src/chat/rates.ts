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

/** How much of something one source may do: `burst` at once, `perSecond` in the long run. */
export class Allowance {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at = performance.now();

  constructor(limits: { perSecond: number; burst: number }) {
    this.#perSecond = limits.perSecond;
    this.#burst = limits.burst;
    this.#tokens = limits.burst;
  }

  /** When it was last asked. */
  get usedAt(): number {
    return this.#at;
  }

  /** 0 if there was so much; else in how many milliseconds there will be. */
  take(cost = 1): number {
    const now = performance.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / 1000 * this.#perSecond);
    this.#at = now;
    if (this.#tokens < cost) return Math.ceil((cost - this.#tokens) / this.#perSecond * 1000);
    this.#tokens -= cost;
    return 0;
  }
}

class Buckets {
  readonly #perSecond: number;
  readonly #buckets = new Map<UserId, Allowance>();
  #swept = performance.now();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  take(userId: UserId): void {
    if (this.#perSecond === 0) return;
    const now = performance.now();
    if (now - this.#swept > FORGET_MS) this.#forgetFull(now);
    const bucket = this.#buckets.get(userId) ??
      new Allowance({ perSecond: this.#perSecond, burst: this.#perSecond * BURST_SECONDS });
    this.#buckets.set(userId, bucket);
    const retryAfterMs = bucket.take();
    if (retryAfterMs > 0) throw new ChatError("rate_limited", undefined, { retryAfterMs });
  }

  #forgetFull(now: number): void {
    this.#swept = now;
    for (const [userId, { usedAt }] of this.#buckets) {
      if (now - usedAt > FORGET_MS) this.#buckets.delete(userId);
    }
  }
}
