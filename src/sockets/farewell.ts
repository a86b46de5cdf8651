/**
 * A farewell to a client that has more on the way. The runtime never sends its close frame to such a one: the next
 * frame that comes in ends the connection before, and what is unread then makes that end a reset, of which most
 * clients know no code. So it is told past the runtime, once that has nothing of its own on the way; and what it has
 * sent is read and forgotten for a little, until it has read what it was told and closes itself.
 */
export interface FarewellUses {
  /** The runtime has nothing on the way to it. */
  isClear: () => boolean;
  /** False if it cannot be told past the runtime now. */
  say: () => boolean;
  /** The runtime's own close. */
  finish: () => void;
}

const WITHIN_MS = 1_500;
const TRY_EVERY_MS = 10;
/** A flood is not read to its end: so much, a frame counted as at least 256 bytes. */
const READS_BYTES = 2 * 1024 * 1024;
const FRAME_BYTES = 256;

export class Farewell {
  readonly #uses: FarewellUses;
  readonly #until = performance.now() + WITHIN_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #left = READS_BYTES;
  #isSaid = false;
  #isOver = false;

  constructor(uses: FarewellUses) {
    this.#uses = uses;
  }

  begin(): void {
    if (this.#isOver) return;
    this.#say();
    const left = this.#until - performance.now();
    if (left <= 0) return this.#finish();
    this.#timer = setTimeout(() => this.begin(), this.#isSaid ? left : Math.min(left, TRY_EVERY_MS));
  }

  #say(): void {
    if (!this.#isSaid && this.#uses.isClear()) this.#isSaid = this.#uses.say();
  }

  /** A frame came in, of so many bytes or characters. Thousands may come before the next timer does. */
  read(size: number): void {
    this.#say();
    this.#left -= FRAME_BYTES + size;
    if (this.#left < 0) this.#finish();
  }

  /** It has gone. */
  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #finish(): void {
    if (this.#isOver) return;
    this.end();
    this.#uses.finish();
  }
}
