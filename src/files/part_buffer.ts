/**
 * The part that is being gathered: as small as what has come, at most one part. Buffers of whole parts are used again,
 * for the memory of a hundred of them would come back only when the collector finds the time.
 */
const FIRST_BYTES = 64 * 1024;
const SPARE_MAX = 16;
const spare: Uint8Array<ArrayBuffer>[] = [];

export class PartBuffer implements Disposable {
  readonly #most: number;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array();
  #length = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get isFull(): boolean {
    return this.#length === this.#most;
  }

  /** Valid until the next fill or clear. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  /** How much of it was taken. */
  fill(piece: Uint8Array): number {
    const part = piece.subarray(0, this.#most - this.#length);
    this.#reserve(this.#length + part.length);
    this.#buffer.set(part, this.#length);
    this.#length += part.length;
    return part.length;
  }

  clear(): void {
    this.#length = 0;
  }

  [Symbol.dispose](): void {
    if (this.#buffer.length === this.#most && spare.length < SPARE_MAX) spare.push(this.#buffer);
    this.#buffer = new Uint8Array();
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const size = Math.min(Math.max(bytes, this.#buffer.length * 4, FIRST_BYTES), this.#most);
    const larger = (size === this.#most ? spare.pop() : undefined) ?? new Uint8Array(size);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
