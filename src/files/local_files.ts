/**
 * Files in one folder of this machine: for development, and for a deployment of one node. A file is written under a
 * temp name, synced and renamed, so it is whole or not there. Temp names lie in a folder that belongs to this store
 * while it holds a lock, which ends with its process: what others have left is known by that, however they died.
 */
import { join } from "node:path";
import {
  assertKey,
  type ByteRange,
  FileMissing,
  type FileStore,
  type StoredFile,
  StoreFull,
  StoreUnavailable,
} from "./file_store.ts";
import { pulled, untilAborted } from "./streams.ts";

const PIECE_BYTES = 64 * 1024;
const UNFINISHED = ".unfinished";
/** A lock without its folder: of a store that is just starting, or of one that died in that instant. */
const LOCK_WITHOUT_FOLDER_MS = 3_600_000;

export class LocalFiles implements FileStore {
  readonly kind = "local";
  readonly #folder: string;
  readonly #ownId: string;
  readonly #lock: Deno.FsFile;

  private constructor(folder: string, ownId: string, lock: Deno.FsFile) {
    this.#folder = folder;
    this.#ownId = ownId;
    this.#lock = lock;
  }

  /** Makes the folder, and removes what stores that were killed have left unfinished. */
  static async open(folder: string): Promise<LocalFiles> {
    const ownId = crypto.randomUUID();
    const unfinished = join(folder, UNFINISHED);
    await Deno.mkdir(unfinished, { recursive: true, mode: 0o700 });
    const lock = await Deno.open(join(unfinished, `${ownId}.lock`), {
      write: true,
      createNew: true,
    });
    try {
      await lock.lock(true);
      await Deno.mkdir(join(unfinished, ownId), { mode: 0o700 }); // after the lock: a folder without one is nobody's
    } catch (error) {
      lock.close();
      throw error;
    }
    const store = new LocalFiles(folder, ownId, lock);
    await store.removeUnfinished();
    return store;
  }

  async put(
    key: string,
    body: AsyncIterable<Uint8Array>,
    { signal }: { signal: AbortSignal; mimeType: string },
  ): Promise<{ bytes: number }> {
    const path = this.#pathOf(key);
    const temp = join(
      this.#folder,
      UNFINISHED,
      this.#ownId,
      `${key}.${crypto.randomUUID()}`,
    );
    try {
      const bytes = await writeNew(temp, untilAborted(body, signal));
      await onDisk(async () => {
        await Deno.mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
        await Deno.rename(temp, path);
        await syncFolder(join(path, ".."));
      });
      return { bytes };
    } catch (error) {
      await Deno.remove(temp).catch(() => {});
      throw error;
    }
  }

  async get(
    key: string,
    range: ByteRange | undefined,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const path = this.#pathOf(key);
    signal?.throwIfAborted();
    const file = await onDisk(() => Deno.open(path), () => {
      throw new FileMissing(key);
    });
    let left = range === undefined ? Infinity : Math.max(range.end - range.start, 0);
    if (range !== undefined && range.start > 0) {
      await file.seek(range.start, Deno.SeekMode.Start);
    }
    return pulled(async () => {
      signal?.throwIfAborted();
      const buffer = new Uint8Array(Math.min(PIECE_BYTES, left));
      const count = left === 0 ? null : await onDisk(() => file.read(buffer));
      left -= count ?? 0;
      return count === null ? undefined : buffer.subarray(0, count);
    }, () => file.close());
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const path of keys.map((key) => this.#pathOf(key))) {
      await onDisk(() => Deno.remove(path), () => undefined);
    }
  }

  async *list(): AsyncGenerator<StoredFile> {
    for (const shard of await namesIn(this.#folder)) {
      if (shard === UNFINISHED) continue;
      for (const key of await namesIn(join(this.#folder, shard))) {
        const info = await Deno.stat(join(this.#folder, shard, key)).catch(() => undefined);
        if (info?.isFile) {
          yield {
            key,
            bytes: info.size,
            modifiedAt: info.mtime ?? new Date(0),
          };
        }
      }
    }
  }

  /** Of dead stores only: a living one removes its own when a put fails. */
  async removeUnfinished(): Promise<number> {
    let removed = 0;
    const unfinished = join(this.#folder, UNFINISHED);
    const names = await namesIn(unfinished);
    for (const name of names) {
      if (name.startsWith(this.#ownId)) continue;
      const path = join(unfinished, name);
      if (!name.endsWith(".lock")) {
        if (await isHeld(`${path}.lock`)) continue;
        removed += (await namesIn(path)).length;
        await Deno.remove(path, { recursive: true }).catch(() => {});
        await Deno.remove(`${path}.lock`).catch(() => {});
      } else if (
        !names.includes(name.slice(0, -".lock".length)) && await isOld(path)
      ) {
        await Deno.remove(path).catch(() => {});
      }
    }
    return removed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const own = join(this.#folder, UNFINISHED, this.#ownId);
    await Deno.remove(own, { recursive: true }).catch(() => {});
    await Deno.remove(`${own}.lock`).catch(() => {});
    this.#lock.close();
  }

  /** Two letters of the key are a folder: keys are random, so 4,096 of them share evenly. */
  #pathOf(key: string): string {
    assertKey(key);
    return join(this.#folder, key.slice(0, 2), key);
  }
}

async function writeNew(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
): Promise<number> {
  using file = await onDisk(() => Deno.open(path, { write: true, createNew: true, mode: 0o600 }));
  let bytes = 0;
  for await (const piece of pieces) {
    for (let done = 0; done < piece.length;) {
      done += await onDisk(() => file.write(piece.subarray(done)));
    }
    bytes += piece.length;
  }
  await onDisk(() => file.sync());
  return bytes;
}

/** Without it a power cut may undo the rename. */
async function syncFolder(path: string): Promise<void> {
  using folder = await Deno.open(path);
  await folder.sync();
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return [];
    throw fault(error);
  }
}

async function isHeld(lockPath: string): Promise<boolean> {
  try {
    using lock = await Deno.open(lockPath, { write: true });
    return !await lock.tryLock(true);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw fault(error);
  }
}

async function isOld(path: string): Promise<boolean> {
  const made = (await Deno.stat(path).catch(() => undefined))?.mtime?.getTime() ??
    Date.now();
  return Date.now() - made > LOCK_WITHOUT_FOLDER_MS;
}

/** What the disk throws becomes an error of stores; `missing` says what a missing file means. */
async function onDisk<T, M = never>(
  work: () => Promise<T>,
  missing?: () => M,
): Promise<T | M> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && missing !== undefined) {
      return missing();
    }
    throw fault(error);
  }
}

const FULL = ["ENOSPC", "EDQUOT", "EFBIG"];

function fault(error: unknown): Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (FULL.includes(code)) {
    return new StoreFull("No space is left for files", { cause: error });
  }
  return new StoreUnavailable(`The folder of files fails: ${code || error}`, {
    cause: error,
  });
}
