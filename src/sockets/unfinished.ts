/**
 * Unfinished messages: how much sockets have sent of messages that are not complete. The runtime holds all of it and
 * tells nothing, so it is reckoned from what the kernel has received and from what has come out as messages: too much
 * rather than too little. Whose fault it is that memory runs full is decided here; socket_warden.ts acts.
 */

/** One socket's account. */
export class Tally {
  #messages = 0;
  #received = 0;
  /** Of what was received, as much as belongs to messages that came out. */
  #finished = 0;
  #isStuck = false;
  #freeAt: number | undefined;
  #lookedAt = 0;

  /** `now` in milliseconds; what has been received, and how many messages have come out. */
  look(now: number, received: number, messages: number): void {
    this.#lookedAt = now;
    this.#isStuck = messages === this.#messages;
    // one has come out since the last look: what was there then is done with, what came later may be the next
    if (!this.#isStuck) this.#finished = this.#received;
    this.#messages = messages;
    this.#received = received;
    if (this.#freeAt === undefined || !this.#isStuck || this.unfinished <= SPARED_BYTES) this.#freeAt = now;
  }

  get unfinished(): number {
    return this.#received - this.#finished;
  }

  /** Nothing has come out between the last two looks. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  /** How long there has been more than a little of the same unfinished message. */
  get unfinishedForMs(): number {
    return this.#lookedAt - (this.#freeAt ?? this.#lookedAt);
  }
}

export interface UnfinishedLimits {
  ofOne: number;
  inAll: number;
  /** While they attack: who is cut comes again, and with others. */
  inAllAttacked: number;
  forMs: number;
}

/** Received by the kernel, but not read yet, is at most this (AHEAD_BYTES of the warden, doubled, and what was there before). */
const KERNEL_HOLDS_BYTES = 1024 * 1024;
const IN_ALL_BYTES = 16 * 1024 * 1024;
const IN_ALL_ATTACKED_BYTES = 4 * 1024 * 1024;
/** Clients of good faith seldom have more on the way; they are spared whatever happens. */
const SPARED_BYTES = 64 * 1024;
/** So many at once and no more: in a turn of its loop the runtime reads 128 times, and the same ones again and again. */
const MANY = 64;
const MANY_ATTACKED = 16;
/** Time for a message: as much as 50 KiB/s takes for the largest, and not less than for 1 MiB. */
const MS_PER_MIB = 20_000;

export function unfinishedLimits(maxFrameBytes: number): UnfinishedLimits {
  return {
    ofOne: 2 * maxFrameBytes + KERNEL_HOLDS_BYTES,
    inAll: Math.max(IN_ALL_BYTES, 4 * maxFrameBytes),
    inAllAttacked: Math.max(IN_ALL_ATTACKED_BYTES, 4 * maxFrameBytes),
    forMs: MS_PER_MIB * Math.max(1, maxFrameBytes / 1024 / 1024),
  };
}

/**
 * Those to end: who alone has too much; and if all together have too much, or are too many, the largest, until half is
 * left. `isAttacked`: somebody was ended a moment ago.
 */
export function toEnd<T extends { tally: Tally }>(
  sockets: Iterable<T>,
  limits: UnfinishedLimits,
  isAttacked = false,
): T[] {
  const inAll = isAttacked ? limits.inAllAttacked : limits.inAll;
  const many = isAttacked ? MANY_ATTACKED : MANY;
  const ended: T[] = [];
  const large: T[] = [];
  let sum = 0;
  for (const socket of sockets) {
    const { unfinished, isStuck, unfinishedForMs } = socket.tally;
    if (!isStuck || unfinished <= SPARED_BYTES) continue;
    if (unfinished > limits.ofOne || unfinishedForMs > limits.forMs) {
      ended.push(socket);
    } else {
      large.push(socket);
      sum += unfinished;
    }
  }
  let count = large.length;
  if (sum <= inAll && count <= many) return ended;
  large.sort((a, b) => b.tally.unfinished - a.tally.unfinished);
  for (const socket of large) {
    if (sum <= inAll / 2 && count <= many / 2) break;
    ended.push(socket);
    sum -= socket.tally.unfinished;
    count--;
  }
  return ended;
}
