/**
 * The collector: takes away the bytes of files that are gone: of deleted messages and of retention, infected ones,
 * uploads that broke off or that nobody sent within a day; and whatever lies in the store that no row knows of. Any
 * node may do it: a file is taken by one at a time, and taking it away twice does no harm.
 */
import type { FileStore } from "../files/file_store.ts";
import { describeFault, type Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import { expireUploads, markGone, strayKeys, takeDoomed, takeStrays } from "../store/file_chores.ts";

const HOUR_MS = 3_600_000;
const PERIOD_MS = 30_000;
const WAKE_MS = 100;
const BATCH = 200;
const LEASE_MS = 60_000;

/** How old what may be: an upload under way is neither broken off nor a stray. */
export interface CollectorAges {
  unsentMs: number;
  brokenOffMs: number;
  strayMs: number;
  /** The store is looked through so often, by one of the nodes. */
  strayPeriodMs: number;
}

const AGES: CollectorAges = {
  unsentMs: 24 * HOUR_MS,
  brokenOffMs: HOUR_MS,
  strayMs: 2 * HOUR_MS,
  strayPeriodMs: 6 * HOUR_MS,
};

export class FileCollector implements AsyncDisposable {
  readonly #db: Database;
  readonly #files: FileStore;
  readonly #log: Log;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(uses: { db: Database; files: FileStore; log: Log }) {
    this.#db = uses.db;
    this.#files = uses.files;
    this.#log = uses.log;
    this.#schedule(Math.random() * PERIOD_MS);
  }

  /** There are bytes to remove: soon. */
  wake(): void {
    this.#schedule(WAKE_MS);
  }

  #schedule(waitMs: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#running = this.collect().catch((fault) =>
        this.#log.warn("files.not_collected", describeFault(fault))
      )
        .then(() => this.#schedule(PERIOD_MS));
    }, waitMs);
  }

  /** All there is to remove, now; answers how many files went. */
  async collect(ages: Partial<CollectorAges> = {}): Promise<number> {
    const { unsentMs, brokenOffMs, strayMs, strayPeriodMs } = { ...AGES, ...ages };
    await expireUploads(this.#db, { unsentMs, brokenOffMs });
    let removed = 0;
    while (!this.#stopped) {
      const doomed = await takeDoomed(this.#db, BATCH, LEASE_MS);
      if (doomed.length === 0) break;
      await this.#files.delete(doomed.map(({ key }) => key));
      await markGone(this.#db, doomed.map(({ id }) => id));
      removed += doomed.length;
    }
    if (await takeStrays(this.#db, strayPeriodMs)) removed += await this.#removeStrays(strayMs);
    if (removed > 0) this.#log.info("files.removed", { files: removed });
    return removed;
  }

  async #removeStrays(strayMs: number): Promise<number> {
    const before = new Date(Date.now() - strayMs);
    let removed = await this.#files.removeUnfinished(before);
    let batch: string[] = [];
    const remove = async (): Promise<void> => {
      const strays = batch.length === 0 ? [] : await strayKeys(this.#db, batch);
      batch = [];
      if (strays.length > 0) await this.#files.delete(strays);
      removed += strays.length;
    };
    for await (const { key, modifiedAt } of this.#files.list()) {
      if (this.#stopped) break;
      if (modifiedAt > before) continue;
      batch.push(key);
      if (batch.length === BATCH) await remove();
    }
    await remove();
    return removed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
