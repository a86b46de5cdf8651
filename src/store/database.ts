/**
 * The way to Postgres: one pool for everything but appends, and one connection a lane for those.
 * Every call has a deadline, because postgres.js has none (a frozen Postgres would hang it for ever), and
 * a bound on how many are under way. Nothing here depends on a session, so PgBouncer may stand between.
 */
import { ChatError } from "../protocol/errors.ts";
import type { DatabaseConfig } from "../config.ts";
import { describeFault, type Log } from "../log.ts";
import { Link, openSql, type Sql } from "./link.ts";

export type { Sql };
/** One row of a query; columns as the caller names them. */
export type Row = Record<string, unknown>;

/** Whom reads are asked of: the primary, or a replica near this node. */
export interface Reader {
  read<T extends object = Row>(query: (sql: Sql) => PromiseLike<readonly T[]>): Promise<T[]>;
}

/** Writes that lost a race or waited too long for a lock: the same call again is right. */
const RETRYABLE = new Set([
  "40P01",
  "40001",
  "55P03", // lock_not_available: our own lock_timeout
  "57014", // query_canceled: a statement_timeout that somebody has set on the database
]);
/** What postgres.js and the system say when there is no connection. */
const UNREACHABLE = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "53300", // too_many_connections
  "53100", // disk_full
  "53200", // out_of_memory
  "08006",
  "08001",
  "08P01", // PgBouncer's own refusals
  "25006", // read_only_sql_transaction: a standby that was the primary
]);
const IN_FLIGHT_MAX = 2_000;
const ATTEMPTS = 4;
const CALLS_A_LANE = { near: 4, far: 16 };

export function faultCode(fault: unknown): string {
  return fault instanceof Error && "code" in fault && typeof fault.code === "string" ? fault.code : "";
}
export const isRetryable = (fault: unknown): boolean => RETRYABLE.has(faultCode(fault));
export const isUnreachable = (fault: unknown): boolean => UNREACHABLE.has(faultCode(fault));

/** Rooms that went apart from their lanes: a few at a time, and none behind another. */
const APART = { max: 4, max_pipeline: 0, idle_timeout: 10 };

export class Database implements Reader, AsyncDisposable {
  readonly pool: Link;
  readonly lanes: readonly Link[];
  readonly apart: Link;
  /** For what waits for locks: reads must not queue behind it. */
  readonly writes: Link;
  /** Under way at once: each is longer under way to a primary that is far. */
  readonly callsALane: number;
  readonly writeConnections: number;
  readonly timeoutMs: number;
  readonly #log: Log;
  #inFlight = 0;
  #closed = false;

  constructor(config: DatabaseConfig, log: Log) {
    const link = (name: string, own: Readonly<Record<string, number>>): Link =>
      new Link({
        open: () => openSql(config, own),
        silenceMs: config.timeoutMs,
        onSilence: () => log.warn("database.silent", { link: name }),
      });
    this.pool = link("pool", { max: config.poolSize });
    this.lanes = Array.from({ length: config.appendLanes }, () => link("lane", { max: 1 }));
    this.apart = link("apart", APART);
    this.callsALane = CALLS_A_LANE[config.isFar ? "far" : "near"];
    this.writeConnections = Math.max(2, Math.ceil(config.poolSize / 2));
    this.writes = link("writes", {
      ...APART,
      ...(config.isFar ? { idle_timeout: 0 } : {}),
      max: this.writeConnections,
    });
    this.timeoutMs = config.timeoutMs;
    this.#log = log;
  }

  /** Nothing is tried again once it is. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** A read: rows, or `unavailable` after the deadline. */
  read<T extends object = Row>(query: (sql: Sql) => PromiseLike<readonly T[]>): Promise<T[]> {
    return this.deadline(this.#attempt(this.pool, query), this.timeoutMs);
  }

  /** A call of one write function `name(p jsonb)`: what it answers. Lost races are tried again. */
  async write<T>(query: (sql: Sql) => PromiseLike<readonly { answer: string }[]>): Promise<T> {
    const [row] = await this.deadline(this.#attempt(this.writes, query), this.timeoutMs);
    return JSON.parse(row?.answer ?? "null") as T;
  }

  /** The work goes on after the deadline; whoever waits is told `unavailable`. Unreachable is told the same way. */
  async deadline<T>(work: Promise<T>, ms: number): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new ChatError("unavailable", "The database did not answer in time")),
        ms,
      );
    });
    try {
      return await Promise.race([work, late]);
    } catch (fault) {
      if (!isUnreachable(fault) && !isRetryable(fault)) throw fault;
      this.#log.warn("database.unreachable", describeFault(fault));
      throw new ChatError("unavailable", "The database cannot be reached", undefined, { cause: fault });
    } finally {
      clearTimeout(timer);
    }
  }

  async #attempt<T extends object>(link: Link, query: (sql: Sql) => PromiseLike<readonly T[]>): Promise<T[]> {
    if (this.#inFlight >= IN_FLIGHT_MAX) {
      throw new ChatError("busy", "Too many requests wait for the database");
    }
    this.#inFlight++;
    const until = performance.now() + this.timeoutMs;
    try {
      for (let attempt = 1;; attempt++) {
        try {
          return [...await link.call(query)];
        } catch (fault) {
          // every write is safe to repeat: ids were made before, and a second call changes nothing; of an end (leave,
          // remove, delete) that call answers that there is nothing to end
          const again = isRetryable(fault) || (isUnreachable(fault) && performance.now() < until);
          if (!again || attempt === ATTEMPTS || this.#closed) throw fault;
          await pause(20 * 2 ** attempt * (0.5 + Math.random()));
        }
      }
    } finally {
      this.#inFlight--;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all([this.pool, this.apart, this.writes, ...this.lanes].map((link) => link.end()));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
