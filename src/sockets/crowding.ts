/**
 * Crowding: how many of the process's descriptors are in use, and who must do without one because of that. The runtime
 * stops listening for good once it has none left.
 */
import type { Libc } from "./libc.ts";
import type { Peer } from "./peers.ts";

/** From here on they are counted more often; */
const BUSY_SHARE = 0.5;
/** newcomers are refused, and those go who only hold one; */
const CROWDED_SHARE = 0.7;
const CROWDED_REQUEST_WITHIN_MS = 200;
/** and whoever has not asked for anything goes at once. */
const FULL_SHARE = 0.8;
const REQUEST_WITHIN_MS = 5_000;

export class Crowding {
  readonly #libc: Libc;
  #usedShare = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  look(): void {
    const { limit, lowestFree } = this.#libc.descriptors();
    this.#usedShare = lowestFree / limit;
  }

  get isBusy(): boolean {
    return this.#usedShare > BUSY_SHARE;
  }

  get isCrowded(): boolean {
    return this.#usedShare > CROWDED_SHARE;
  }

  /** Of a peer that is no socket. */
  isTooLate({ since, askedAt, patience }: Peer, now: number): boolean {
    if (askedAt !== undefined) return this.isCrowded && now - askedAt >= REQUEST_WITHIN_MS;
    if (this.#usedShare > FULL_SHARE) return true;
    return now - since >= (this.isCrowded ? CROWDED_REQUEST_WITHIN_MS : REQUEST_WITHIN_MS * patience);
  }
}
