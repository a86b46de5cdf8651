/**
 * Unpacks an archive and every archive in it, in small steps: zip (by its directory, in one pass over the file), gzip and
 * tar. Holds an archive in an archive in memory only if it is a zip. Nothing that comes out is kept.
 */
import { pipeline } from "node:stream/promises";
import { setImmediate as othersTurn } from "node:timers/promises";
import { createGunzip, createInflateRaw } from "node:zlib";
import type { ArchiveBudget } from "./archive_budget.ts";
import { ByteReader, Truncated } from "./byte_reader.ts";
import { startsWith } from "./executables.ts";
import { FileRefused } from "./file_refused.ts";
import { broken, findDirectory, readEntries, type ZipEntry, type ZipSource } from "./zip_directory.ts";

const STORED = 0;
const DEFLATED = 8;
const LOCAL_BYTES = 30;
const LOCAL = 0x04034b50;
const TAR_BYTES = 512;
const CHUNK_BYTES = 64 * 1024;
/** About a millisecond's work. */
const TURN_BYTES = 256 * 1024;

const hex = (digits: string): Uint8Array => Uint8Array.fromHex(digits);
const ZIP = [hex("504b0304"), hex("504b0506"), hex("504b0708")];
const GZIP = hex("1f8b08");
const USTAR = new TextEncoder().encode("ustar");
const UNSUPPORTED: readonly (readonly [name: string, magic: Uint8Array])[] = [
  ["7z", hex("377abcaf271c")],
  ["rar", hex("526172211a07")],
  ["xz", hex("fd377a585a00")],
  ["bzip2", hex("425a68")],
  ["zstd", hex("28b52ffd")],
  ["lz4", hex("04224d18")],
  ["lzip", hex("4c5a4950")],
  ["cab", hex("4d534346")],
  ["compress", hex("1f9d")],
];
/** What makes a zip a program. In a zip it is a file like others, which the scanner looks at. */
const PROGRAM =
  /^(?:META-INF\/MANIFEST\.MF|AndroidManifest\.xml|classes\d*\.dex|AppxManifest\.xml|Payload\/[^/]+\.app\/.*)$/i;

export class ArchiveWalk {
  readonly #budget: ArchiveBudget;
  readonly #signal: AbortSignal;
  #sinceTurn = 0;

  constructor(budget: ArchiveBudget, signal: AbortSignal) {
    this.#budget = budget;
    this.#signal = signal;
  }

  async zip(
    source: ZipSource,
    directory: Awaited<ReturnType<typeof findDirectory>>,
    depth: number,
  ): Promise<ZipEntry[]> {
    this.#budget.requireDepth(depth);
    if (directory === undefined) throw broken("it has no end");
    const entries = await readEntries(source, directory, this.#budget.entriesLeft);
    for (const entry of entries) {
      this.#budget.spendEntry();
      if (entry.isEncrypted) {
        throw new FileRefused("encrypted", "Encrypted archives are not taken: nobody can check them");
      }
      if (depth === 1 && PROGRAM.test(entry.name)) {
        throw new FileRefused(
          "executable",
          "This is a package of programs: programs are not taken, under any name",
        );
      }
    }
    if (entries.length === 0) return entries;
    const reader = new ByteReader(await source.read({ start: 0, end: directory.start }));
    try {
      for (const entry of entries) await this.#zipEntry(reader, entry, depth);
    } finally {
      await reader.close();
    }
    return entries;
  }

  /** The bytes of whatever lies in an archive; `depth` is that of the archive around it. A tar in a gzip counts as one. */
  async into(reader: ByteReader, depth: number, tarCounts = true): Promise<void> {
    const head = await reader.peek(TAR_BYTES);
    const unsupported = UNSUPPORTED.find(([, magic]) => startsWith(head, magic));
    if (unsupported !== undefined && !isText(head)) {
      throw new FileRefused(
        "archive_unsupported",
        `An archive of the kind ${unsupported[0]} cannot be checked`,
      );
    }
    if (ZIP.some((magic) => startsWith(head, magic))) return await this.#nestedZip(reader, depth + 1);
    if (startsWith(head, GZIP)) {
      this.#budget.requireDepth(depth + 1);
      return await this.#unpack(reader.pieces(), createGunzip({ chunkSize: CHUNK_BYTES }), depth + 1, false);
    }
    if (startsWith(head, USTAR, 257)) return await this.#tar(reader, tarCounts ? depth + 1 : depth);
    for await (const _ of reader.pieces()) this.#signal.throwIfAborted();
  }

  async #zipEntry(reader: ByteReader, entry: ZipEntry, depth: number): Promise<void> {
    if (reader.position > entry.offset) throw broken("its files overlap");
    try {
      await reader.skip(entry.offset - reader.position);
      const local = await reader.take(LOCAL_BYTES);
      const view = new DataView(local.buffer, local.byteOffset, local.byteLength);
      if (view.getUint32(0, true) !== LOCAL) throw broken("a file is not where it should be");
      await reader.skip(view.getUint16(26, true) + view.getUint16(28, true));
      const end = reader.position + entry.compressedBytes;
      const pieces = reader.pieces(entry.compressedBytes);
      const counted = new Counter(entry.bytes);
      if (entry.method === STORED) await this.#entry(counted.over(this.#spent(pieces)), depth);
      else if (entry.method === DEFLATED) {
        await this.#unpack(pieces, createInflateRaw({ chunkSize: CHUNK_BYTES }), depth, true, counted);
      } else {throw new FileRefused(
          "archive_unsupported",
          "The archive is packed in a way that cannot be checked",
        );}
      await reader.skip(end - reader.position);
      counted.requireAll();
    } catch (error) {
      throw error instanceof Truncated ? broken("it ends too early") : error;
    }
  }

  async #entry(pieces: AsyncIterable<Uint8Array>, depth: number, tarCounts = true): Promise<void> {
    await this.into(new ByteReader(pieces), depth, tarCounts);
  }

  /** Damaged data is the file's fault; whatever else the source throws is not. */
  async #unpack(
    packed: AsyncIterable<Uint8Array>,
    unpacker: ReturnType<typeof createGunzip>,
    depth: number,
    tarCounts: boolean,
    counted?: Counter,
  ): Promise<void> {
    const look = async (out: AsyncIterable<Uint8Array>): Promise<void> => {
      const spent = this.#spent(out);
      await this.#entry(counted?.over(spent) ?? spent, depth, tarCounts);
    };
    try {
      await pipeline(packed, unpacker, look, { signal: this.#signal });
    } catch (error) {
      this.#signal.throwIfAborted();
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      throw code.startsWith("Z_") ? broken("its data are damaged") : error;
    }
  }

  async #nestedZip(reader: ByteReader, depth: number): Promise<void> {
    this.#budget.requireDepth(depth);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    for await (const piece of reader.pieces()) {
      bytes += piece.length;
      if (bytes > this.#budget.limits.nestedBytes) {
        throw new FileRefused("archive_too_large", "An archive in the archive is too large to be checked");
      }
      parts.push(piece.slice());
    }
    const whole = new Uint8Array(bytes);
    let at = 0;
    for (const part of parts.splice(0)) {
      whole.set(part, at);
      at += part.length;
    }
    const source: ZipSource = {
      bytes,
      read: ({ start, end }) => Promise.resolve(ReadableStream.from([whole.subarray(start, end)])),
    };
    await this.zip(source, await findDirectory(source), depth);
  }

  /** Sizes are octal, or binary with the highest bit set; what follows is padded to full blocks. */
  async #tar(reader: ByteReader, depth: number): Promise<void> {
    this.#budget.requireDepth(depth);
    try {
      while (true) {
        const header = await reader.peek(TAR_BYTES);
        if (!startsWith(header, USTAR, 257)) break; // two empty blocks, or whatever somebody has put there
        await reader.take(TAR_BYTES);
        this.#budget.spendEntry();
        const bytes = tarSize(header.subarray(124, 136));
        const end = reader.position + bytes;
        await this.#entry(reader.pieces(bytes), depth);
        await reader.skip(end - reader.position + (TAR_BYTES - bytes % TAR_BYTES) % TAR_BYTES);
      }
    } catch (error) {
      throw error instanceof Truncated ? broken("it ends too early") : error;
    }
    for await (const _ of reader.pieces()) this.#signal.throwIfAborted();
  }

  /** Unpacking by itself never lets anybody else of the node have a turn. */
  async *#spent(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#budget.spendBytes(piece.length);
      this.#sinceTurn += piece.length;
      if (this.#sinceTurn >= TURN_BYTES) {
        this.#sinceTurn = 0;
        await othersTurn();
        this.#signal.throwIfAborted();
      }
      yield piece;
    }
  }
}

/** What comes out of an entry, beside what its directory says. */
class Counter {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  async *over(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#left -= piece.length;
      if (this.#left < 0) throw broken("more comes out than it says");
      yield piece;
    }
  }

  requireAll(): void {
    if (this.#left !== 0) throw broken("less comes out than it says");
  }
}

function tarSize(field: Uint8Array): number {
  const binary = ((field[0] ?? 0) & 0x80) !== 0;
  const size = binary
    ? field.subarray(4).reduce((total, byte) => total * 256 + byte, 0)
    : parseInt(new TextDecoder().decode(field).replace(/[\0 ]/g, "") || "0", 8);
  if (!Number.isSafeInteger(size) || size < 0) throw broken("a size is missing");
  return size;
}

/** `BZh` may begin a word. */
function isText(head: Uint8Array): boolean {
  return head.every((byte) => byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);
}
