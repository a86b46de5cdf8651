/**
 * Peers: who is connected to our port, and by which descriptor, found by looking at all descriptors in rounds; a round
 * may be done in pieces, so that ten thousand of them do not hold up the event loop. What to do with a peer is decided
 * in socket_warden.ts.
 */
import type { Libc } from "./libc.ts";
import { spread } from "./spread.ts";

export interface Peer {
  readonly key: string;
  /** As of the last round: somebody else may have it by now. */
  fd: number | undefined;
  readonly since: number;
  /** When it sent its last complete request. */
  askedAt: number | undefined;
  /** By which its deadline is longer than others'. */
  readonly patience: number;
}

interface Entry extends Peer {
  /** Seen in this round, or too late for the one before. */
  round: number;
}

/** The kernel gives the lowest descriptor that is free: above the highest one known they follow closely. */
const FREE_IN_A_ROW = 512;
const PIECE = 64;

export class Peers {
  readonly #libc: Libc;
  readonly #port: () => number;
  readonly #table = new Map<string, Entry>();
  #round = 0;
  #next = 0;
  #highest = 0;
  #end = 0;

  constructor(libc: Libc, port: () => number) {
    this.#libc = libc;
    this.#port = port;
  }

  /** Everybody, as of the last round. */
  get all(): Iterable<Peer> {
    return this.#table.values();
  }

  get count(): number {
    return this.#table.size;
  }

  /** A complete request came from there. */
  asked(key: string): void {
    const now = performance.now();
    const known = this.#table.get(key);
    if (known !== undefined) known.askedAt = now;
    else {this.#table.set(key, {
        key,
        fd: undefined,
        since: now,
        askedAt: now,
        patience: spread(1),
        round: this.#round + 1,
      });}
  }

  /** The descriptor, if the peer is known to have it still. */
  fdOf(key: string): number | undefined {
    const fd = this.#table.get(key)?.fd;
    return fd !== undefined && this.#libc.peerOf(fd) === key ? fd : undefined;
  }

  /** Goes on with the round, for about this long; true when it has come to its end. `fd` is the peer's in this turn. */
  visit(forMs: number, visitor: (peer: Peer, fd: number) => void): boolean {
    const started = performance.now();
    if (this.#next === 0) this.#begin();
    while (this.#next <= this.#end) {
      const piece = Math.min(this.#next + PIECE, this.#end + 1);
      for (; this.#next < piece; this.#next++) this.#visitOne(this.#next, started, visitor);
      if (performance.now() - started >= forMs && this.#next <= this.#end) return false;
    }
    this.#next = 0;
    for (const [key, { round }] of this.#table) if (round < this.#round) this.#table.delete(key);
    return true;
  }

  /** A whole round now, whatever had been done of one. */
  visitAll(visitor: (peer: Peer, fd: number) => void): void {
    this.#next = 0;
    this.visit(Infinity, visitor);
  }

  #begin(): void {
    this.#round++;
    this.#end = this.#highest + FREE_IN_A_ROW;
    this.#highest = 0;
  }

  #visitOne(fd: number, now: number, visitor: (peer: Peer, fd: number) => void): void {
    const key = this.#libc.peerOf(fd);
    if (key === undefined) return;
    let entry = this.#table.get(key);
    if (entry?.fd !== fd) {
      if (this.#libc.localPortOf(fd) !== this.#port()) return;
      entry ??= { key, fd, since: now, askedAt: undefined, patience: spread(1), round: 0 };
      entry.fd = fd;
      this.#table.set(key, entry);
    }
    entry.round = Math.max(entry.round, this.#round);
    this.#highest = fd;
    this.#end = Math.max(this.#end, fd + FREE_IN_A_ROW);
    visitor(entry, fd);
  }
}
