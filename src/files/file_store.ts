/**
 * Where bytes of attachments lie: one interface, two stores (local_files, s3_files), one suite of tests. A key is
 * random and written once; names, types, owners and verdicts of files are in the database, not here. Whatever fails in
 * the middle of a put, nothing is left of it; what a killed process leaves is found by removeUnfinished().
 */

export interface FileStore extends AsyncDisposable {
  readonly kind: "local" | "s3";
  /** The body is read as fast as it is stored. The file is there, whole, once this settles, or not at all. */
  put(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options: { signal: AbortSignal; mimeType: string },
  ): Promise<{ bytes: number }>;
  /**
   * The whole file, or the bytes of a range: an end beyond the file is its end. FileMissing is thrown here, not later;
   * the reader must read to the end or cancel.
   */
  get(
    key: string,
    range: ByteRange | undefined,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
  /** What is missing counts as deleted. */
  delete(keys: readonly string[]): Promise<void>;
  /** In no order. What is put or deleted meanwhile may be there or not. */
  list(): AsyncIterable<StoredFile>;
  /** Temp copies and open uploads that no living put of this store works on; how many there were. */
  removeUnfinished(olderThan: Date): Promise<number>;
}

/** The end is exclusive. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface StoredFile {
  key: string;
  bytes: number;
  modifiedAt: Date;
}

export class FileMissing extends Error {
  override readonly name = "FileMissing";
  constructor(readonly key: string) {
    super(`No file ${key}`);
  }
}

/** The same call may succeed later. The text names no secret and no address. */
export class StoreUnavailable extends Error {
  override readonly name = "StoreUnavailable";
}

/** No room for the file; others may fit once something has been removed. */
export class StoreFull extends Error {
  override readonly name = "StoreFull";
}

const KEY = /^[A-Za-z0-9_-]{8,128}$/;

/** A key is a path or part of a URL: a key of any other shape is a fault of ours. */
export function assertKey(key: string): void {
  if (!KEY.test(key)) {
    throw new TypeError(
      "A key of a file has 8 to 128 letters, digits, _ and -",
    );
  }
}

/** 160 random bits. */
export function newFileKey(): string {
  return crypto.getRandomValues(new Uint8Array(20)).toHex();
}
