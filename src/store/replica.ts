/**
 * The replica: a standby of the primary near this node. It is fit to be read while it is known to have replayed all that
 * the primary had stored at some moment of the last 5 s. Both are asked each second, the primary for the end of its log
 * and the standby for how far it has replayed, so neither clocks nor a primary that has nothing to do deceive us. A standby
 * that was promoted, or tells another epoch than the primary, is nobody's replica any more.
 *
 * What one read needs beyond that is known by delivery/near_reads.ts. A replica that does not answer is left alone for a
 * while, so that not every read waits for it.
 */
import type { DatabaseConfig } from "../config.ts";
import { describeFault, type Log } from "../log.ts";
import { type Database, isUnreachable, type Reader, type Row } from "./database.ts";
import { Link, openSql, type Sql } from "./link.ts";

export interface ReplicaOptions {
  config: Pick<DatabaseConfig, "url" | "poolSize" | "prepare">;
  primary: Database;
  log: Log;
}

const LOOK_MS = 1_000;
const BEHIND_MS_MAX = 5_000;
/** Near by it answers in milliseconds; whoever waits longer asks the primary. */
const ANSWER_MS = 500;
const REST_MS = 5_000;
/** More of the primary's moments than a standby may be behind. */
const MOMENTS_MAX = 8;

/** Where the primary's log ended when it was asked. */
interface Moment {
  askedAt: number;
  end: number;
}

class TooLate extends Error {}

export class Replica implements Reader, AsyncDisposable {
  readonly #primary: Database;
  readonly #log: Log;
  readonly #link: Link;
  #moments: Moment[] = [];
  /** It has all that was stored before this. */
  #hasAllBefore = -Infinity;
  #restsUntil = -Infinity;
  #wasFit = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void>;
  #closed = false;

  constructor({ config: { url, poolSize, prepare }, primary, log }: ReplicaOptions) {
    this.#primary = primary;
    this.#log = log;
    this.#link = new Link({
      open: () => openSql({ url, prepare, timeoutMs: ANSWER_MS }, { max: poolSize }),
      silenceMs: 2 * ANSWER_MS,
      onSilence: () => log.warn("database.silent", { link: "replica" }),
    });
    this.#looking = this.#look();
  }

  get isFit(): boolean {
    const now = performance.now();
    return now >= this.#restsUntil && now - this.#hasAllBefore <= BEHIND_MS_MAX;
  }

  /** Rejects soon if it does not answer, and is unfit for a while then. */
  async read<T extends object = Row>(query: (sql: Sql) => PromiseLike<readonly T[]>): Promise<T[]> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new TooLate("The replica did not answer in time")), ANSWER_MS);
    });
    try {
      return [...await Promise.race([this.#link.call(query), late])];
    } catch (fault) {
      if (fault instanceof TooLate || isUnreachable(fault)) this.#leaveAlone(fault);
      throw fault;
    } finally {
      clearTimeout(timer);
    }
  }

  #leaveAlone(fault: unknown): void {
    if (performance.now() < this.#restsUntil) return;
    this.#restsUntil = performance.now() + REST_MS;
    this.#log.warn("replica.left_alone", { ms: REST_MS, ...describeFault(fault) });
  }

  async #look(): Promise<void> {
    try {
      const askedAt = performance.now();
      const [primary] = await this.#primary.read<{ epoch: string; end: number }>((sql) =>
        sql`select epoch, (pg_current_wal_flush_lsn() - '0/0')::bigint as end from server_state`
      );
      if (primary !== undefined) {
        this.#moments = [...this.#moments, { askedAt, end: primary.end }].slice(-MOMENTS_MAX);
      }
      if (performance.now() >= this.#restsUntil) await this.#compare(primary?.epoch);
    } catch (fault) {
      this.#log.debug("replica.look_failed", describeFault(fault));
    }
    if (this.isFit !== this.#wasFit) {
      this.#wasFit = this.isFit;
      this.#log.info(this.#wasFit ? "replica.fit" : "replica.unfit", {});
    }
    if (!this.#closed) {
      this.#timer = setTimeout(() => {
        this.#looking = this.#look();
      }, LOOK_MS);
    }
  }

  async #compare(epoch: string | undefined): Promise<void> {
    const [standby] = await this.read<{ epoch: string; replayed: number | null }>((sql) =>
      sql`select epoch, case when pg_is_in_recovery() then (pg_last_wal_replay_lsn() - '0/0')::bigint end as replayed
        from server_state`
    );
    const replayed = standby?.replayed;
    if (replayed === null || replayed === undefined || standby?.epoch !== epoch) {
      this.#hasAllBefore = -Infinity;
      return;
    }
    const reached = this.#moments.findLast(({ end }) => end <= replayed);
    this.#hasAllBefore = Math.max(this.#hasAllBefore, reached?.askedAt ?? -Infinity);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
    await this.#link.end();
  }
}
