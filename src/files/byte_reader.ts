/** Reads a stream by counts instead of by pieces. Holds one piece, or what was peeked. */

/** The bytes end where more were promised. */
export class Truncated extends Error {
  override readonly name = "Truncated";
}

export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array();
  #position = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** How much has been taken or skipped. */
  get position(): number {
    return this.#position;
  }

  /** Fewer at the end. */
  async peek(count: number): Promise<Uint8Array> {
    while (this.#held.length < count) {
      const { value, done } = await this.#source.next();
      if (done) break;
      const joined = new Uint8Array(this.#held.length + value.length);
      joined.set(this.#held);
      joined.set(value, this.#held.length);
      this.#held = joined;
    }
    return this.#held.subarray(0, count);
  }

  async take(count: number): Promise<Uint8Array> {
    const bytes = await this.peek(count);
    if (bytes.length < count) throw new Truncated();
    this.#let(count);
    return bytes;
  }

  async skip(count: number): Promise<void> {
    let left = count;
    for await (const piece of this.pieces(count)) left -= piece.length;
    if (left > 0) throw new Truncated();
  }

  /** So many bytes, fewer at the end. */
  async *pieces(count = Infinity): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0;) {
      if (this.#held.length === 0) this.#held = await this.#next();
      const piece = this.#held.subarray(0, left);
      if (piece.length === 0) return;
      this.#let(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  /** Empty at the end. */
  async #next(): Promise<Uint8Array> {
    while (true) {
      const { value, done } = await this.#source.next();
      if (done) return new Uint8Array();
      if (value.length > 0) return value;
    }
  }

  #let(count: number): void {
    this.#held = this.#held.subarray(count);
    this.#position += count;
  }
}
