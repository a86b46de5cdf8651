/**
 * Bodies of requests that have been answered already, with a refusal: the runtime reads such a body to its end, however
 * long that is. Whoever still sends a while after the answer is cut off; whoever has stopped may ask again.
 */
import type { Libc } from "./libc.ts";
import type { Peers } from "./peers.ts";

/** For the answer to be read, and then how much more is right in so long. */
const ANSWER_MS = 150;
const LOOK_MS = 100;
const BYTES_MAX = 32 * 1024;
/** A peer that has only just come is not known to the warden's rounds yet. */
const KNOWN_WITHIN_MS = 5_000;

interface Refused {
  lookAt: number;
  giveUpAt: number;
  /** When it was looked at first. */
  bytes: number | undefined;
}

export class RefusedBodies {
  readonly #libc: Libc;
  readonly #peers: Peers;
  readonly #refused = new Map<string, Refused>();

  constructor(libc: Libc, peers: Peers) {
    this.#libc = libc;
    this.#peers = peers;
  }

  add(peer: string): void {
    const now = performance.now();
    this.#refused.set(peer, {
      lookAt: now + ANSWER_MS,
      giveUpAt: now + KNOWN_WITHIN_MS,
      bytes: undefined,
    });
  }

  /** A new request came from there: the body had its end. */
  forget(peer: string): void {
    this.#refused.delete(peer);
  }

  look(now: number, cut: (fd: number) => void): void {
    for (const [peer, refused] of this.#refused) {
      if (refused.lookAt > now) continue;
      const fd = this.#peers.fdOf(peer);
      const bytes = fd === undefined ? undefined : this.#libc.bytesReceived(fd);
      if (refused.bytes === undefined && refused.giveUpAt > now) {
        this.#refused.set(peer, { ...refused, lookAt: now + LOOK_MS, bytes });
        continue;
      }
      this.#refused.delete(peer);
      if (fd !== undefined && (bytes ?? 0) > (refused.bytes ?? Infinity) + BYTES_MAX) cut(fd);
    }
  }
}
