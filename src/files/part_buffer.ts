/**
 * The part that is being gathered: as small as what has come, at most one part. Buffers of whole parts are used again,
 * for the memory of a hundred of them would come back only when the collector finds the time.
 */
import { createHash } from "node:crypto";

const FIRST_BYTES = 64 * 1024;
const SMALL_BYTES = 512 * 1024;
const SPARE_MAX = 16;
const spare: Uint8Array<ArrayBuffer>[] = [];

export class PartBuffer implements Disposable {
  readonly #most: number;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array();
  #length = 0;
  #hash = createHash("sha256");

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

  /** Of the bytes; computed while they come, so that no part is copied or holds up the node for it. */
  get sha256(): string {
    return this.#hash.copy().digest("hex");
  }

  /** How much of it was taken. */
  fill(piece: Uint8Array): number {
    const part = piece.subarray(0, this.#most - this.#length);
    this.#reserve(this.#length + part.length);
    this.#buffer.set(part, this.#length);
    this.#hash.update(part);
    this.#length += part.length;
    return part.length;
  }

  clear(): void {
    this.#length = 0;
    this.#hash = createHash("sha256");
  }

  [Symbol.dispose](): void {
    if (this.#buffer.length === this.#most && spare.length < SPARE_MAX) spare.push(this.#buffer);
    this.#buffer = new Uint8Array();
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const size = bytes > SMALL_BYTES ? this.#most : bytes > FIRST_BYTES ? SMALL_BYTES : FIRST_BYTES;
    const larger = (size === this.#most ? spare.pop() : undefined) ?? new Uint8Array(size);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
