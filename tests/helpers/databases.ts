/**
 * Databases of tests: each test has one of its own, copied from a migrated template on the server that
 * TEST_DATABASE_URL names (tests/run.ts starts it).
 */
import postgres from "postgres";
import { createLog } from "../../src/log.ts";
import { migrate } from "../../src/store/migrate.ts";

export const MIGRATIONS = new URL("../../migrations/", import.meta.url);
export const quietLog = createLog("error", () => {});

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
}

export function serverUrl(): string {
  const url = Deno.env.get("TEST_DATABASE_URL");
  if (url === undefined) throw new Error("TEST_DATABASE_URL is missing: run tests by `deno task test`");
  return url;
}

export function withDatabase(url: string, name: string): string {
  const named = new URL(url);
  named.pathname = `/${name}`;
  return named.href;
}

/** On another server than the tests' own: Postgres 15, say. */
export async function createTestDatabase(server: string = serverUrl()): Promise<TestDatabase> {
  const template = await templateOf(server);
  const name = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  await onServer(server, (sql) => sql.unsafe(`create database ${name} template ${template}`));
  return {
    url: withDatabase(server, name),
    [Symbol.asyncDispose]: () =>
      onServer(server, (sql) => sql.unsafe(`drop database if exists ${name} with (force)`)),
  };
}

const templates = new Map<string, Promise<string>>();

function templateOf(server: string): Promise<string> {
  const known = templates.get(server) ?? makeTemplate(server);
  templates.set(server, known);
  return known;
}

async function makeTemplate(server: string): Promise<string> {
  const name = `template_${crypto.randomUUID().replaceAll("-", "")}`;
  await onServer(server, (sql) => sql.unsafe(`create database ${name}`));
  await migrate({ url: withDatabase(server, name) }, MIGRATIONS, quietLog);
  return name;
}

async function onServer(server: string, work: (sql: postgres.Sql) => PromiseLike<unknown>): Promise<void> {
  const sql = postgres(server, { max: 1, onnotice: () => {}, prepare: false, fetch_types: false });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 2 });
  }
}
