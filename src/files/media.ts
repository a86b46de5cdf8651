/**
 * How long a recording is, measured in its bytes: clients' own words are only taken where this finds nothing. By
 * music-metadata, and for what was written live by webm_duration.ts. The parser gets no more reads than an honest file of that size needs, and gives others
 * of the node their turns: what it was sent may be made to keep it busy.
 */
import { setImmediate as othersTurn } from "node:timers/promises";
import { parseFromTokenizer } from "music-metadata";
import { fromWebStream } from "strtok3/core";
import { lastBlockMs } from "./webm_duration.ts";

const WITHIN_MS = 10_000;
const READS_MIN = 2_000;
/** A frame of MP3 has a hundred bytes and more, and takes a handful of reads. */
const BYTES_PER_READ = 16;
const READS_PER_TURN = 200;
/** Nobody speaks for a day. */
const DURATION_MS_MAX = 86_400_000;

/** Undefined if it cannot be known, or not in time. Throws what `open` throws, and the signal's reason. */
export async function measureDurationMs(
  open: () => Promise<ReadableStream<Uint8Array>>,
  file: { bytes: number; mimeType: string },
  signal: AbortSignal,
): Promise<number | undefined> {
  const stated = await withStream(open, signal, (stream) => statedMs(stream, file, signal));
  if (stated !== undefined || !/^(?:audio|video)\/(?:webm|x-matroska)$/.test(file.mimeType)) return stated;
  return await withStream(open, signal, async (stream) => plausible(await lastBlockMs(stream, signal)));
}

async function withStream(
  open: () => Promise<ReadableStream<Uint8Array>>,
  signal: AbortSignal,
  measure: (stream: ReadableStream<Uint8Array>) => Promise<number | undefined>,
): Promise<number | undefined> {
  const pieces = (await open())[Symbol.asyncIterator]();
  try {
    return await measure(ReadableStream.from({ [Symbol.asyncIterator]: () => pieces }));
  } catch {
    signal.throwIfAborted();
    return undefined;
  } finally {
    await pieces.return?.(); // parsers stop early, and hold the stream that they were given
  }
}

async function statedMs(
  stream: ReadableStream<Uint8Array>,
  file: { bytes: number; mimeType: string },
  signal: AbortSignal,
): Promise<number | undefined> {
  const bounds = {
    readsMax: READS_MIN + file.bytes / BYTES_PER_READ,
    until: performance.now() + WITHIN_MS,
    signal,
  };
  const tokenizer = bounded(stream, { size: file.bytes, mimeType: file.mimeType }, bounds);
  const { format } = await parseFromTokenizer(tokenizer, { duration: true, skipCovers: true });
  return plausible(format.duration === undefined ? undefined : format.duration * 1_000);
}

function plausible(ms: number | undefined): number | undefined {
  const whole = Math.round(ms ?? 0);
  return whole > 0 && whole <= DURATION_MS_MAX ? whole : undefined;
}

function bounded(
  stream: ReadableStream<Uint8Array>,
  fileInfo: { size: number; mimeType: string },
  { readsMax, until, signal }: { readsMax: number; until: number; signal: AbortSignal },
): ReturnType<typeof fromWebStream> {
  const tokenizer = fromWebStream(stream, { fileInfo });
  let reads = 0;
  const read =
    <A extends unknown[], R>(method: (...args: A) => Promise<R>) => async (...args: A): Promise<R> => {
      if (++reads % READS_PER_TURN === 0) await othersTurn();
      signal.throwIfAborted();
      if (reads > readsMax || performance.now() > until) throw new Error("Reading has no end");
      return await method.apply(tokenizer, args);
    };
  tokenizer.peekBuffer = read(tokenizer.peekBuffer);
  tokenizer.readBuffer = read(tokenizer.readBuffer);
  tokenizer.ignore = read(tokenizer.ignore);
  return tokenizer;
}
