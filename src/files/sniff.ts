/**
 * The type that the first bytes show, by the file-type package. It has had endless loops on hostile bytes, and a loop
 * that never leaves the event loop freezes the node where no timer can end it. So it reads through a tokenizer that
 * counts: whoever keeps reading without an end is stopped. What it cannot say is undefined, never an error.
 */
import { FileTypeParser } from "file-type";
import { fromBuffer } from "strtok3/core";
import { startsWith } from "./executables.ts";
import { canonicalType } from "./media_types.ts";

/** Real files take 20 to 300. */
const READS_MAX = 5_000;
const WITHIN_MS = 2_000;

const GZIP = Uint8Array.of(0x1f, 0x8b, 0x08);
const ID3 = Uint8Array.of(0x49, 0x44, 0x33);

/** Canonical, without parameters. */
export async function typeShownBy(
  head: Uint8Array,
): Promise<string | undefined> {
  if (startsWith(head, GZIP)) return "application/gzip"; // unpacking it to look inside is archive_guard's, with limits
  if (startsWith(head, ID3)) return "audio/mpeg"; // the cover in front is often longer than the head
  try {
    const found = await new FileTypeParser().fromTokenizer(boundedTokenizer(head));
    const type = found === undefined
      ? undefined
      : canonicalType(found.mime.split(";", 1)[0]?.toLowerCase() ?? "");
    return type !== undefined && isPlausible(type, head) ? type : undefined;
  } catch {
    return undefined;
  }
}

/** Throws when it is asked too often or for too long. */
export function boundedTokenizer(head: Uint8Array): ReturnType<typeof fromBuffer> {
  const tokenizer = fromBuffer(head);
  const giveUpAt = performance.now() + WITHIN_MS;
  let reads = 0;
  const read = <A extends unknown[], R>(method: (...args: A) => R): (...args: A) => R => (...args) => {
    if (++reads > READS_MAX || performance.now() > giveUpAt) {
      throw new Error("Reading has no end");
    }
    return method.apply(tokenizer, args);
  };
  tokenizer.peekBuffer = read(tokenizer.peekBuffer);
  tokenizer.readBuffer = read(tokenizer.readBuffer);
  tokenizer.ignore = read(tokenizer.ignore);
  return tokenizer;
}

/** Two letters are no proof: some magics are so short, or leave so much open, that a script passes as a picture. */
function isPlausible(type: string, head: Uint8Array): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (type === "image/bmp") {
    return head.length >= 26 && view.getUint32(6) === 0 &&
      [12, 16, 40, 52, 56, 64, 108, 124].includes(view.getUint32(14, true));
  }
  return type !== "image/gif" || isGif(head, view);
}

/** After the screen and its colours a block must begin: `GIF89a/*…*\/=1` has none. */
function isGif(head: Uint8Array, view: DataView): boolean {
  if (head.length < 14) return false;
  const flags = view.getUint8(10);
  const colours = (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
  const block = head[13 + colours];
  return block === undefined || block === 0x2c || block === 0x21 ||
    block === 0x3b;
}
