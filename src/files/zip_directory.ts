/**
 * The directory of a zip, which stands at its end and says what lies in it: read with bounds, and strictly, for whatever
 * two programs read differently is a way past one of them. Nothing it says of sizes is believed; archive_guard.ts unpacks.
 */
import { FileRefused } from "./file_refused.ts";
import type { ByteRange } from "./file_store.ts";
import { readHead } from "./streams.ts";

/** A file, or an archive in an archive that is held in memory. */
export interface ZipSource {
  readonly bytes: number;
  read(range: ByteRange): Promise<ReadableStream<Uint8Array>>;
}

export interface ZipEntry {
  name: string;
  method: number;
  compressedBytes: number;
  bytes: number;
  /** Of its local header. */
  offset: number;
  isEncrypted: boolean;
}

interface Directory {
  start: number;
  bytes: number;
  count: number;
}

const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR64_BYTES = 20;
const COMMENT_BYTES_MAX = 65_535;
const ENTRY_BYTES = 46;
/** Ten thousand entries with long names. */
const DIRECTORY_BYTES_MAX = 4 * 1024 * 1024;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const ENTRY = 0x02014b50;
const IN_64 = 0xffffffff;

export const broken = (what: string): FileRefused =>
  new FileRefused("archive_broken", `The archive is not as it should be: ${what}`);

/** Undefined: the file does not end in a zip. */
export async function findDirectory(source: ZipSource): Promise<Directory | undefined> {
  const length = Math.min(source.bytes, END_BYTES + COMMENT_BYTES_MAX + LOCATOR64_BYTES);
  const tailStart = source.bytes - length;
  const tail = await readPart(source, tailStart, length);
  const view = viewOf(tail);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) !== END || view.getUint16(at + 20, true) !== tail.length - at - END_BYTES) {
      continue;
    }
    const directory = await directoryAt(source, view, at, tailStart + at);
    if (directory !== undefined) return directory;
  }
  return undefined;
}

async function directoryAt(
  source: ZipSource,
  tail: DataView,
  at: number,
  endOffset: number,
): Promise<Directory | undefined> {
  let [count, bytes, start] = [
    tail.getUint16(at + 10, true),
    tail.getUint32(at + 12, true),
    tail.getUint32(at + 16, true),
  ];
  let end = endOffset;
  const hasLocator = at >= LOCATOR64_BYTES && tail.getUint32(at - LOCATOR64_BYTES, true) === LOCATOR64;
  if (hasLocator) {
    end = Number(tail.getBigUint64(at - LOCATOR64_BYTES + 8, true));
    if (end > endOffset - LOCATOR64_BYTES - END64_BYTES) throw broken("its end lies elsewhere");
    const record = viewOf(await readPart(source, end, END64_BYTES));
    if (record.getUint32(0, true) !== END64) throw broken("its end lies elsewhere");
    [count, bytes, start] = [32, 40, 48].map((field) => Number(record.getBigUint64(field, true))) as [
      number,
      number,
      number,
    ];
  }
  if (count === 0 && bytes === 0) return { start: end, bytes, count };
  const found = end - bytes;
  const isThere = found >= 0 && viewOf(await readPart(source, found, 4)).getUint32(0, true) === ENTRY;
  return isThere ? { start: start === found ? start : -1, bytes, count } : undefined;
}

export async function readEntries(
  source: ZipSource,
  directory: Directory,
  entriesMax: number,
): Promise<ZipEntry[]> {
  const { start, bytes, count } = directory;
  if (start < 0) throw broken("something lies in front of it");
  if (count > entriesMax || bytes > DIRECTORY_BYTES_MAX) {
    throw new FileRefused("archive_too_large", `The archive holds more than ${entriesMax} files`);
  }
  const data = await readPart(source, start, bytes);
  const view = viewOf(data);
  const entries: ZipEntry[] = [];
  let at = 0;
  while (at + ENTRY_BYTES <= data.length && entries.length < count) {
    if (view.getUint32(at, true) !== ENTRY) throw broken("its list of files");
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) =>
      view.getUint16(at + field, true)
    ) as [
      number,
      number,
      number,
    ];
    const flags = view.getUint16(at + 8, true);
    const nameAt = at + ENTRY_BYTES;
    const next = nameAt + nameBytes + extraBytes + commentBytes;
    if (next > data.length) throw broken("its list of files");
    const extra = data.subarray(nameAt + nameBytes, nameAt + nameBytes + extraBytes);
    const [size, compressed, offset] = sizesOf(
      [24, 20, 42].map((field) => view.getUint32(at + field, true)),
      extra,
    );
    entries.push({
      name: new TextDecoder().decode(data.subarray(nameAt, nameAt + nameBytes)),
      method: view.getUint16(at + 10, true),
      compressedBytes: compressed ?? 0,
      bytes: size ?? 0,
      offset: offset ?? 0,
      isEncrypted: (flags & 0x2041) !== 0,
    });
    at = next;
  }
  if (at !== data.length || entries.length !== count) throw broken("its list of files");
  return entries.toSorted((a, b) => a.offset - b.offset);
}

/** What does not fit into 32 bits stands in the extra field 1, in the order of those that do not fit. */
function sizesOf(short: number[], extra: Uint8Array): number[] {
  if (!short.includes(IN_64)) return short;
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    let field = at + 4;
    const end = Math.min(field + view.getUint16(at + 2, true), extra.length);
    return short.map((value) => {
      if (value !== IN_64) return value;
      if (field + 8 > end) throw broken("a size is missing");
      field += 8;
      return Number(view.getBigUint64(field - 8, true));
    });
  }
  throw broken("a size is missing");
}

async function readPart(source: ZipSource, start: number, length: number): Promise<Uint8Array> {
  if (start < 0 || start + length > source.bytes) throw broken("it points outside itself");
  const bytes = await readHead(await source.read({ start, end: start + length }), length);
  if (bytes.length !== length) throw broken("it ends too early");
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
