/**
 * Unfinished messages: how much sockets have sent of messages that are not complete. The runtime holds all of it and
 * tells nothing, so it is reckoned from what the kernel has received and from what has come out as messages: too much
 * rather than too little. Whose fault it is that memory runs full is decided here; socket_warden.ts acts.
 */

/** One socket's account. */
export class Tally {
  #messages = 0;
  #messageBytes = 0;
  #received = 0;
  /** Of what was received, as much as belongs to messages that came out. */
  #finished = 0;
  #isStuck = false;
  #freeAt: number | undefined;
  /** When there was hardly any of what is unfinished. */
  #begunAt = Infinity;
  #lookedAt = 0;

  /** `now` in milliseconds; what has been received, how many messages have come out, and of how many bytes at least. */
  look(now: number, received: number, messages: number, messageBytes: number): void {
    this.#lookedAt = now;
    this.#isStuck = messages === this.#messages;
    if (!this.#isStuck) {
      // what was there at the last look is done with, and what came later as far as it has come out: the rest may be the next
      const out = this.#finished + messageBytes - this.#messageBytes;
      this.#finished = Math.max(this.#received, Math.min(received, out));
    }
    this.#messages = messages;
    this.#messageBytes = messageBytes;
    this.#received = received;
    if (this.#freeAt === undefined || !this.#isStuck || this.unfinished <= SPARED_BYTES) this.#freeAt = now;
    const isBegun = this.#begunAt < now && this.#isStuck && this.unfinished > BEGUN_BYTES;
    if (!isBegun) this.#begunAt = now;
  }

  get unfinished(): number {
    return this.#received - this.#finished;
  }

  /** It comes as fast as a flood, and is more than has ever come out of it: nothing speaks for it yet. */
  get isHasty(): boolean {
    return this.unfinished > Math.max(this.#finished, HASTY_BYTES_PER_MS * (this.#lookedAt - this.#begunAt));
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
  /** Of those in haste; */
  hasty: number;
  /** and while they attack: who is cut comes again, and with others. */
  hastyAttacked: number;
  forMs: number;
}

/** Received by the kernel, but not read yet, is at most this (AHEAD_BYTES of the warden, doubled, and what was there before). */
const KERNEL_HOLDS_BYTES = 1024 * 1024;
const IN_ALL_BYTES = 96 * 1024 * 1024;
const HASTY_BYTES = 16 * 1024 * 1024;
const HASTY_ATTACKED_BYTES = 4 * 1024 * 1024;
/** 500 KiB/s: a slow link is no flood, however many have one. */
const HASTY_BYTES_PER_MS = 512;
const BEGUN_BYTES = 16 * 1024;
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
    hasty: Math.max(HASTY_BYTES, 4 * maxFrameBytes),
    hastyAttacked: Math.max(HASTY_ATTACKED_BYTES, 4 * maxFrameBytes),
    forMs: MS_PER_MIB * Math.max(1, maxFrameBytes / 1024 / 1024),
  };
}

/**
 * Those to end: who alone has too much; and if those in haste together have too much, or are too many, the largest of
 * them, until half is left; and so if all have. `isAttacked`: somebody was ended a moment ago.
 */
export function toEnd<T extends { tally: Tally }>(
  sockets: Iterable<T>,
  limits: UnfinishedLimits,
  isAttacked = false,
): T[] {
  const ended: T[] = [];
  const hasty: T[] = [];
  const large: T[] = [];
  for (const socket of sockets) {
    const { unfinished, isStuck, isHasty, unfinishedForMs } = socket.tally;
    if (!isStuck || unfinished <= SPARED_BYTES) continue;
    if (unfinished > limits.ofOne || unfinishedForMs > limits.forMs) ended.push(socket);
    else (isHasty ? hasty : large).push(socket);
  }
  const [bytes, many] = isAttacked ? [limits.hastyAttacked, MANY_ATTACKED] : [limits.hasty, MANY];
  const cut = largest(hasty, bytes, many);
  const left = hasty.slice(cut.length);
  return [...ended, ...cut, ...largest([...large, ...left], limits.inAll, Infinity)];
}

/** The first of them, which it sorts, if they have more than `bytes` or are more than `many`; until half is left. */
function largest<T extends { tally: Tally }>(sockets: T[], bytes: number, many: number): T[] {
  let sum = sockets.reduce((sum, { tally }) => sum + tally.unfinished, 0);
  if (sum <= bytes && sockets.length <= many) return [];
  sockets.sort((a, b) => b.tally.unfinished - a.tally.unfinished);
  let count = 0;
  while (sum > bytes / 2 || sockets.length - count > many / 2) sum -= sockets[count++]!.tally.unfinished;
  return sockets.slice(0, count);
}
