/** Archives of tests, made byte by byte: proper ones, and those that lie. */
import { crc32, deflateRawSync, gzipSync } from "node:zlib";

export interface ZipEntry {
  data: Uint8Array;
  /** 0 stored, 8 deflated (the default), any other is only claimed. */
  method?: number;
  /** What the directory says instead of the truth. */
  claims?: { uncompressed?: number; compressed?: number; offset?: number; encrypted?: boolean };
  /** Already compressed. */
  packed?: Uint8Array;
}

export interface ZipShape {
  comment?: Uint8Array;
  /** Numbers go to the records of zip64. */
  zip64?: boolean;
  /** Sizes stand after the data only. */
  descriptors?: boolean;
}

const encoder = new TextEncoder();

export function zipOf(
  files: Record<string, Uint8Array | ZipEntry> | readonly (readonly [string, Uint8Array | ZipEntry])[],
  shape: ZipShape = {},
): Uint8Array<ArrayBuffer> {
  const list = Array.isArray(files) ? files as [string, Uint8Array | ZipEntry][] : Object.entries(files);
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [name, file] of list) {
    const entry: ZipEntry = file instanceof Uint8Array ? { data: file } : file;
    const method = entry.method ?? 8;
    const packed = entry.packed ?? (method === 8 ? deflateRawSync(entry.data) : entry.data);
    const crc = crc32(entry.data);
    const { claims = {} } = entry;
    const flags = (claims.encrypted ? 1 : 0) | (shape.descriptors ? 8 : 0) | 0x800;
    const compressed = claims.compressed ?? packed.length;
    const uncompressed = claims.uncompressed ?? entry.data.length;
    const nameBytes = encoder.encode(name);
    const known = shape.descriptors ? [0, 0, 0] : [crc, compressed, uncompressed];
    const local = [
      ...[u32(0x04034b50), u16(20), u16(flags), u16(method), u32(0), ...known.map(u32)],
      ...[u16(nameBytes.length), u16(0), nameBytes, packed],
      ...(shape.descriptors ? [u32(0x08074b50), u32(crc), u32(compressed), u32(uncompressed)] : []),
    ];
    const offset = claims.offset ?? at;
    const extra = shape.zip64
      ? join([u16(1), u16(24), u64(uncompressed), u64(compressed), u64(offset)])
      : new Uint8Array();
    const sizes = shape.zip64 ? [0xffffffff, 0xffffffff] : [compressed, uncompressed];
    directory.push(join([
      ...[u32(0x02014b50), u16(20), u16(20), u16(flags), u16(method), u32(0), u32(crc), ...sizes.map(u32)],
      ...[u16(nameBytes.length), u16(extra.length), u16(0), u16(0), u16(0), u32(0)],
      ...[u32(shape.zip64 ? 0xffffffff : offset), nameBytes, extra],
    ]));
    parts.push(...local);
    at += local.reduce((sum, { length }) => sum + length, 0);
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end64 = shape.zip64
    ? [
      ...[u32(0x06064b50), u64(44), u16(45), u16(45), u32(0), u32(0), u64(list.length), u64(list.length)],
      ...[u64(size), u64(at), u32(0x07064b50), u32(0), u64(at + size), u32(1)],
    ]
    : [];
  const [count, length, start] = shape.zip64 ? [0xffff, 0xffffffff, 0xffffffff] : [list.length, size, at];
  const comment = shape.comment ?? new Uint8Array();
  return join([
    ...parts,
    ...directory,
    ...end64,
    ...[u32(0x06054b50), u16(0), u16(0), u16(count), u16(count), u32(length), u32(start)],
    ...[u16(comment.length), comment],
  ]);
}

export function tarOf(files: Record<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const [name, data] of Object.entries(files)) {
    const header = new Uint8Array(512);
    header.set(encoder.encode(name.slice(0, 99)));
    header.set(encoder.encode("0000644\0" + "0000000\0" + "0000000\0"), 100);
    header.set(
      encoder.encode(data.length.toString(8).padStart(11, "0") + "\0" + "00000000000\0" + "        0"),
      124,
    );
    header.set(encoder.encode("ustar\x0000"), 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.set(encoder.encode(sum.toString(8).padStart(6, "0") + "\0 "), 148);
    parts.push(header, data, new Uint8Array((512 - data.length % 512) % 512));
  }
  return join([...parts, new Uint8Array(1_024)]);
}

export function gzipOf(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(data));
}

export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function number(bytes: number, value: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0, rest = value; i < bytes; i++, rest = Math.floor(rest / 256)) out[i] = rest % 256;
  return out;
}
const u16 = (value: number): Uint8Array => number(2, value);
const u32 = (value: number): Uint8Array => number(4, value);
const u64 = (value: number): Uint8Array => number(8, value);
