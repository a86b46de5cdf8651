/**
 * How long a WebM or Matroska recording is that was written live, as browsers record voices: its header says nothing,
 * so the time of the last block is looked for. Elements of EBML are a name, a size and what is in them.
 */
import { setImmediate as othersTurn } from "node:timers/promises";
import { ByteReader } from "./byte_reader.ts";

const EBML = 0x1a45dfa3;
const TIMECODE_SCALE = 0x2ad7b1;
const CLUSTER = 0x1f43b675;
const CLUSTER_TIME = 0xe7;
const BLOCKS = new Set([0xa1, 0xa3]);
/** What is looked into: segment, info, cluster, block group. */
const MASTERS = new Set([0x18538067, 0x1549a966, CLUSTER, 0xa0]);
const NS_PER_MS = 1_000_000;
const ELEMENTS_PER_TURN = 500;

/** Of whole elements; what is cut off at the end counts up to there. Undefined if there is no block in it. */
export async function lastBlockMs(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<number | undefined> {
  const reader = new ByteReader(source);
  let [scale, clusterTime, last] = [NS_PER_MS, 0, -1];
  for (let elements = 0;; elements++) {
    if (elements % ELEMENTS_PER_TURN === 0) await othersTurn();
    signal.throwIfAborted();
    const id = await readId(reader);
    const size = id === undefined ? undefined : await readSize(reader);
    if (id === undefined || size === undefined || (elements === 0 && id !== EBML)) break;
    if (MASTERS.has(id)) continue;
    const body = size <= 8 || BLOCKS.has(id) ? await reader.peek(Math.min(size, 16)) : new Uint8Array();
    if (id === TIMECODE_SCALE) scale = numberIn(body);
    if (id === CLUSTER_TIME) clusterTime = numberIn(body);
    if (BLOCKS.has(id)) last = Math.max(last, clusterTime + blockTime(body));
    const isWhole = await reader.skip(size).then(() => true, () => false);
    if (!isWhole) break;
  }
  return last < 0 ? undefined : last * scale / NS_PER_MS;
}

/** With its marker, as names are written. */
async function readId(reader: ByteReader): Promise<number | undefined> {
  const [first] = await reader.peek(1);
  const length = Math.clz32(first ?? 0) - 23;
  if (length > 4) return undefined;
  const bytes = await reader.peek(length);
  if (bytes.length < length) return undefined;
  await reader.skip(length);
  return numberIn(bytes);
}

/** Infinity where it was not known when it was written: only masters may be so. */
async function readSize(reader: ByteReader): Promise<number | undefined> {
  const [first] = await reader.peek(1);
  const length = Math.clz32(first ?? 0) - 23;
  if (length > 8) return undefined;
  const bytes = (await reader.peek(length)).slice();
  if (bytes.length < length) return undefined;
  await reader.skip(length);
  bytes[0] = (bytes[0] ?? 0) & (0xff >> length);
  const isUnknown = bytes[0] === 0xff >> length && bytes.subarray(1).every((byte) => byte === 0xff);
  return isUnknown ? Infinity : numberIn(bytes);
}

/** After the track's number: signed, relative to the cluster. */
function blockTime(block: Uint8Array): number {
  const at = Math.clz32(block[0] ?? 0) - 23;
  return ((block[at] ?? 0) << 24 >> 16) | (block[at + 1] ?? 0);
}

function numberIn(bytes: Uint8Array): number {
  return bytes.reduce((number, byte) => number * 256 + byte, 0);
}
