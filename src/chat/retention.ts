/** Retention: once an hour, messages older than the limit go, in small batches; rooms under legal hold are kept whole. */
import type { Hub } from "../delivery/hub.ts";
import { describeFault, type Log } from "../log.ts";
import { changesOf } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { retain } from "../store/rooms.ts";

const PERIOD_MS = 3_600_000;
const BATCH = 1_000;

export class Retention implements AsyncDisposable {
  readonly #db: Database;
  readonly #hub: Hub;
  readonly #log: Log;
  readonly #days: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  /** `days` 0 keeps everything. */
  constructor(uses: { db: Database; hub: Hub; log: Log; days: number }) {
    this.#db = uses.db;
    this.#hub = uses.hub;
    this.#log = uses.log;
    this.#days = uses.days;
    if (uses.days > 0) this.#schedule(Math.random() * 60_000);
  }

  /** Everything from before the cutoff, now; answers how many messages went. */
  async removeBefore(cutoff: Date): Promise<number> {
    let removed = 0;
    for (let more = true; more && !this.#stopped;) {
      const answer = await retain(this.#db, cutoff, BATCH);
      this.#hub.publish(changesOf(answer));
      removed += answer.removed;
      more = answer.more;
    }
    return removed;
  }

  #schedule(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.removeBefore(new Date(Date.now() - this.#days * 86_400_000))
        .then((removed) => removed > 0 && this.#log.info("retention.removed", { messages: removed }))
        .catch((fault) => this.#log.error("retention.failed", describeFault(fault)))
        .then(() => this.#stopped || this.#schedule(PERIOD_MS))
        .then(() => {});
    }, waitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
