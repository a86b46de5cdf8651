/** Where Postgres is, and how much of it one node takes. */
import type { EnvironmentReader } from "./environment.ts";

export type DatabaseConfig = {
  readonly url: string;
  readonly poolSize: number;
  readonly appendLanes: number;
  /** false behind PgBouncer in transaction mode before its version 1.21. */
  readonly prepare: boolean;
  readonly timeoutMs: number;
  /** To open a connection takes five round trips, each of them long: what is open stays open. */
  readonly isFar?: boolean;
};

export function readDatabase(from: EnvironmentReader, fallback: string | undefined): DatabaseConfig {
  const url = from.url("DATABASE_URL", ["postgres:", "postgresql:"], fallback);
  if (url === undefined) {
    from.fault("DATABASE_URL", "is missing: postgres://user:password@host:5432/database");
  }
  return {
    url: url ?? "",
    poolSize: from.integer("DATABASE_POOL_SIZE", 10, 1, 200),
    appendLanes: from.integer("DATABASE_APPEND_LANES", 8, 1, 64),
    prepare: from.flag("DATABASE_PREPARE", true),
    timeoutMs: from.integer("DATABASE_TIMEOUT", 5_000, 100, 60_000),
  };
}
