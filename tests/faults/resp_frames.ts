/**
 * What Redis says on a connection, cut into its frames (RESP 2 and 3), so that a proxy can drop, double and delay
 * publications and nothing else.
 */
import type { Mangler } from "./fault_proxy.ts";

const [CR, LF] = [13, 10];
const BULK = new Set(["$", "!", "="]);
const AGGREGATES = new Map([["*", 1], ["~", 1], [">", 1], ["%", 2]]);
const ascii = new TextDecoder("latin1");

/** Where the frame that begins at `from` ends; -1 if it is not all there yet. */
export function frameEnd(bytes: Uint8Array, from: number): number {
  const lineEnd = endOfLine(bytes, from);
  if (lineEnd === -1) return -1;
  const kind = String.fromCharCode(bytes[from] ?? 0);
  const count = Number(ascii.decode(bytes.subarray(from + 1, lineEnd - 2)));
  if (BULK.has(kind)) {
    const end = count < 0 ? lineEnd : lineEnd + count + 2;
    return end <= bytes.length ? end : -1;
  }
  let end = lineEnd;
  for (let left = count * (AGGREGATES.get(kind) ?? 0); left > 0 && end !== -1; left--) {
    end = frameEnd(bytes, end);
  }
  return end;
}

function endOfLine(bytes: Uint8Array, from: number): number {
  for (let i = from; i + 1 < bytes.length; i++) if (bytes[i] === CR && bytes[i + 1] === LF) return i + 2;
  return -1;
}

export interface Mischief {
  /** Off: all passes as it comes. */
  isOn: boolean;
  drop: number;
  double: number;
  late: number;
  lateMs: number;
  random: () => number;
  readonly counts: { heard: number; dropped: number; doubled: number; late: number };
}

/** Does mischief to publications of rooms and inboxes; what is late is overtaken by what follows. */
export function publicationMangler(mischief: Mischief): Mangler {
  let rest: Uint8Array = new Uint8Array();
  return (piece, pass) => {
    const bytes = join(rest, piece);
    let from = 0;
    for (let end = frameEnd(bytes, 0); end !== -1 && from < bytes.length; end = frameEnd(bytes, from)) {
      carry(bytes.slice(from, end), pass, mischief);
      from = end;
    }
    rest = bytes.slice(from);
  };
}

function carry(frame: Uint8Array, pass: (piece: Uint8Array) => void, mischief: Mischief): void {
  const head = ascii.decode(frame.subarray(0, 128));
  if (!mischief.isOn || !/^[*>]3\r\n\$\d+\r\ns?message\r\n\$\d+\r\n[^\r]*(room|inbox):/.test(head)) {
    return pass(frame);
  }
  const { counts, random } = mischief;
  counts.heard++;
  if (random() < mischief.drop) return void counts.dropped++;
  const copies = random() < mischief.double ? 2 : 1;
  if (copies === 2) counts.doubled++;
  for (let copy = 0; copy < copies; copy++) {
    if (random() >= mischief.late) pass(frame);
    else {
      counts.late++;
      setTimeout(() => pass(frame), random() * mischief.lateMs);
    }
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
