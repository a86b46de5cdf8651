/**
 * Figures of search: `deno task bench:search [--messages 300000] [--data ../irc] [--queries 40] [--out file]`.
 * It starts a Postgres of its own in a temporary folder, or takes BENCH_DATABASE_URL (a server where it may make
 * databases), fills a database, asks, and tells the figures as a page of Markdown.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cpus } from "node:os";
import postgres from "postgres";
import { createLog } from "../../src/log.ts";
import { Database } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import { serverOf } from "../server.ts";
import { compareAppends } from "./appends.ts";
import { readLines } from "./corpus.ts";
import { measure } from "./measure.ts";
import { makeQuestions } from "./questions.ts";
import { describe } from "./report.ts";
import { CALLERS, setScene } from "./scene.ts";

const MIGRATIONS = new URL("../../migrations/", import.meta.url);
const log = createLog("error", (line) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`)));

const { values } = parseArgs({
  args: Deno.args,
  options: {
    messages: { type: "string", default: "300000" },
    data: { type: "string", default: "../irc" },
    queries: { type: "string", default: "40" },
    out: { type: "string" },
  },
});

const SETTINGS = { shared_buffers: "1GB", max_wal_size: "4GB", maintenance_work_mem: "256MB" };

async function main(): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const server = await serverOf(parts, SETTINGS);
  const lines = await readLines(values.data);
  const url = await freshDatabase(parts, server, MIGRATIONS);
  const sql = postgres(url, { max: 1, onnotice: () => {}, fetch_types: false });
  parts.defer(() => sql.end());
  const loadBefore = loadNow();
  const said = await setScene(sql, lines, Number(values.messages));
  const db = parts.use(
    new Database({ url, poolSize: 1, appendLanes: 1, prepare: true, timeoutMs: 20_000 }, log),
  );
  const callers = [];
  for (const { name, rooms } of CALLERS) {
    const own: ReadonlySet<string> = new Set(rooms);
    const kinds = makeQuestions(said, (roomId) => own.has(roomId), Number(values.queries));
    await measure(db, name, kinds.map((kind) => ({ ...kind, asks: kind.asks.slice(0, 2) }))); // warm
    callers.push({ caller: name, rows: await measure(db, name, kinds) });
  }
  const sizes = await sql<{ name: string; bytes: string }[]>`
    select relname as name, pg_relation_size(oid)::text as bytes from pg_class
    where relname in ('messages', 'messages_words', 'messages_by_time', 'messages_parts', 'messages_pkey')
    union all select 'column words', sum(pg_column_size(words))::text from messages`;
  const [version] = await sql<{ server_version: string }[]>`show server_version`;
  const without = await withoutSearch(parts);
  const appends = await compareAppends(
    await freshDatabase(parts, server, MIGRATIONS),
    await freshDatabase(parts, server, without),
    said.map(({ text }) => text),
  );
  const text = describe({
    messages: said.length,
    callers,
    sizes: sizes.map(({ name, bytes }) => ({ name, bytes: Number(bytes) })),
    appends,
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, Postgres ${version?.server_version}, ` +
      `load of the machine before ${loadBefore}, after ${loadNow()} (ours alone is 1)`,
  });
  if (values.out === undefined) await Deno.stdout.write(new TextEncoder().encode(text));
  else await Deno.writeTextFile(values.out, text);
}

/** Of the last minute. */
const loadNow = (): string => (Deno.loadavg()[0] ?? 0).toFixed(1);

async function freshDatabase(parts: AsyncDisposableStack, server: string, migrations: URL): Promise<string> {
  const name = `bench_${crypto.randomUUID().replaceAll("-", "")}`;
  const run = async (statement: string): Promise<void> => {
    const sql = postgres(server, { max: 1, onnotice: () => {} });
    try {
      await sql.unsafe(statement);
    } finally {
      await sql.end();
    }
  };
  await run(`create database ${name}`);
  parts.defer(() => run(`drop database if exists ${name} with (force)`));
  const url = new URL(server);
  url.pathname = `/${name}`;
  await migrate({ url: url.href }, migrations, log);
  return url.href;
}

/** The migrations up to search, in a folder of their own. */
async function withoutSearch(parts: AsyncDisposableStack): Promise<URL> {
  const folder = await Deno.makeTempDir({ prefix: "scroll-chat-bench-" });
  parts.defer(() => Deno.remove(folder, { recursive: true }));
  for await (const { name } of Deno.readDir(MIGRATIONS)) {
    if (name < "0004") await Deno.copyFile(new URL(name, MIGRATIONS), join(folder, name));
  }
  return new URL(`file://${folder}/`);
}

await main();
