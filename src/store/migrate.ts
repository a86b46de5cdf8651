/**
 * Migrations: numbered files, forward only, each in its own transaction, in order, under an advisory lock so
 * that several nodes may start at once. A file that was applied and has changed since is an error.
 */
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import type { DatabaseConfig } from "../config.ts";
import { describeFault, type Log } from "../log.ts";
import { faultCode } from "./database.ts";

interface Migration {
  name: string;
  text: string;
  hash: string;
}

const LOCK = 7_236_512_001;
/** Nodes that send meanwhile lock the same tables in another order: one of the two has to give way, and comes again. */
const TRIES = 20;
const GIVEN_WAY = new Set(["40P01", "55P03"]);
const TABLE_LOCK_MS = 3_000;
const PAUSE_MS = 250;

/** Applies what is missing; answers the names of what it applied. */
export async function migrate(config: Pick<DatabaseConfig, "url">, folder: URL, log: Log): Promise<string[]> {
  const wanted = await readFolder(folder);
  const sql = postgres(config.url, { max: 1, onnotice: () => {}, prepare: false, fetch_types: false });
  try {
    for (let tries = 1;; tries++) {
      try {
        return await applyAll(sql, wanted, log);
      } catch (fault) {
        if (!GIVEN_WAY.has(faultCode(fault)) || tries === TRIES) throw fault;
        log.info("migration.gave_way", { tries, ...describeFault(fault) });
        await pause(PAUSE_MS * (0.5 + Math.random()));
      }
    }
  } finally {
    await sql.end({ timeout: 2 });
  }
}

/** All or none. */
async function applyAll(sql: postgres.Sql, wanted: readonly Migration[], log: Log): Promise<string[]> {
  return await sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${LOCK})`;
    // whoever waits for a table keeps everybody else from it
    await tx`select set_config('lock_timeout', ${String(TABLE_LOCK_MS)}, true)`;
    await tx`create table if not exists schema_migrations (
        name text primary key, hash text not null, applied_at timestamptz not null default now())`;
    const applied = new Map(
      (await tx<Migration[]>`select name, hash from schema_migrations`).map((m) => [m.name, m.hash]),
    );
    const done: string[] = [];
    for (const { name, text, hash } of wanted) {
      const known = applied.get(name);
      if (known !== undefined && known !== hash) {
        throw new Error(`Migration ${name} was changed after it was applied`);
      }
      if (known !== undefined) continue;
      await tx.unsafe(text);
      await tx`insert into schema_migrations (name, hash) values (${name}, ${hash})`;
      log.info("migration.applied", { name });
      done.push(name);
    }
    return done;
  });
}

/** Throws a TypeError that says what to do if the database lacks a migration. A newer database is fine: migrations only add. */
export async function requireMigrated(config: Pick<DatabaseConfig, "url">, folder: URL): Promise<void> {
  const wanted = await readFolder(folder);
  const sql = postgres(config.url, {
    max: 1,
    onnotice: () => {},
    prepare: false,
    fetch_types: false,
    connect_timeout: 5,
  });
  try {
    const [table] = await sql<
      { there: boolean }[]
    >`select to_regclass('schema_migrations') is not null as there`;
    const applied = table?.there === true
      ? await sql<Migration[]>`select name, hash from schema_migrations`
      : [];
    const lacking = wanted.filter(({ name }) => !applied.some((known) => known.name === name)).map((
      { name },
    ) => name);
    if (lacking.length > 0) {
      throw new TypeError(`The database lacks ${lacking.join(", ")}: run deno task migrate first`);
    }
  } finally {
    await sql.end({ timeout: 2 });
  }
}

async function readFolder(folder: URL): Promise<Migration[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (entry.isFile && /^\d{4}_[a-z0-9_]+\.sql$/.test(entry.name)) names.push(entry.name);
  }
  return await Promise.all(
    names.sort().map(async (name) => {
      const text = await Deno.readTextFile(new URL(name, folder));
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
      return { name, text, hash: new Uint8Array(digest).toHex() };
    }),
  );
}
