/**
 * Migrations only add, seen in the catalogue and by a node that runs meanwhile: what the release before reads and calls is
 * the same after each of them.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import postgres from "postgres";
import { migrate, requireMigrated } from "../../src/store/migrate.ts";
import { createTestDatabase, MIGRATIONS, quietLog, serverUrl, withDatabase } from "../helpers/databases.ts";
import { startTestApp } from "../helpers/test_app.ts";

/** The oldest release whose nodes may still run. */
const OLDEST = 4;
const SENDERS = 4;
const SENDS_BEFORE_AND_AFTER = 25;

/** As a release to come may do it: a table, a column, an index, a function that supersedes another. */
const LATER = `
create table later_things (id uuid primary key, room_id uuid not null references rooms, noted_at timestamptz not null default now());
alter table messages add column later text not null default '';
alter table rooms add column later jsonb;
create index messages_later on messages (room_id, seq) where later <> '';
create function send_later_v1(p jsonb) returns jsonb language sql stable as $$ select p $$;
`;

const names: readonly string[] = [...Deno.readDirSync(MIGRATIONS)].map(({ name }) => name).toSorted();

/** Those before `count`, and others beside them. */
async function folderOf(
  count: number,
  more: Record<string, string> = {},
): Promise<AsyncDisposable & { url: URL }> {
  const path = await Deno.makeTempDir({ prefix: "scroll-chat-migrations-" });
  for (const name of names.slice(0, count)) await Deno.copyFile(new URL(name, MIGRATIONS), join(path, name));
  for (const [name, text] of Object.entries(more)) await Deno.writeTextFile(join(path, name), text);
  return {
    url: pathToFileURL(`${path}/`),
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

async function emptyDatabase(): Promise<AsyncDisposable & { url: string; sql: postgres.Sql }> {
  const server = postgres(serverUrl(), { max: 1, fetch_types: false, onnotice: () => {} });
  const name = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  await server.unsafe(`create database ${name}`);
  const url = withDatabase(serverUrl(), name);
  const sql = postgres(url, { max: SENDERS, fetch_types: false, onnotice: () => {} });
  return {
    ...{ url, sql },
    [Symbol.asyncDispose]: async () => {
      await sql.end({ timeout: 2 });
      await server.unsafe(`drop database ${name} with (force)`);
      await server.end({ timeout: 2 });
    },
  };
}

/** What older nodes may use: functions with their text, columns with their types, and whether they may be left out. */
async function madeSoFar(sql: postgres.Sql): Promise<Map<string, string>> {
  const rows = await sql<{ what: string; how: string }[]>`
    select 'function ' || p.oid::regprocedure as what, md5(pg_get_functiondef(p.oid)) as how
      from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
        and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    union all
    select 'column ' || attrelid::regclass || '.' || attname, format_type(atttypid, atttypmod) ||
        case when attnotnull and not atthasdef then ', needed' else '' end
      from pg_attribute a join pg_class c on c.oid = a.attrelid
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') and attnum > 0 and not attisdropped`;
  return new Map(rows.map(({ what, how }) => [what, how]));
}

Deno.test("after each migration all that older nodes call, read and write is as it was, and a row can be made without what is new", async () => {
  await using database = await emptyDatabase();
  let before = new Map<string, string>();
  for (let count = 1; count <= names.length; count++) {
    await using folder = await folderOf(count);
    await migrate({ url: database.url }, folder.url, quietLog);
    const after = await madeSoFar(database.sql);
    const changed = [...before].filter(([what, how]) => after.get(what) !== how).map(([what]) => what);
    deepStrictEqual([names[count - 1], changed], [names[count - 1], []]);
    const tables = new Set([...before.keys()].filter((what) => what.startsWith("column ")).map(tableOf));
    const needed = [...after].filter(([what, how]) =>
      !before.has(what) && tables.has(tableOf(what)) && how.endsWith("needed")
    );
    deepStrictEqual([names[count - 1], needed], [names[count - 1], []]);
    before = after;
  }
});

const tableOf = (what: string): string => what.replace(/\.[^.]*$/, "");

Deno.test("nodes of the oldest release send on while newer migrations are applied", async () => {
  await using database = await emptyDatabase();
  const { sql, url } = database;
  await using oldest = await folderOf(OLDEST);
  await migrate({ url }, oldest.url, quietLog);
  const roomId = crypto.randomUUID();
  const call = async (name: string, params: object): Promise<void> => {
    const [row] = await sql.unsafe(`select ${name}($1::text::jsonb)->>'code' as code`, [
      JSON.stringify(params),
    ]);
    strictEqual(row?.code, null);
  };
  const claims = {
    name: "Ada",
    avatarUrl: null,
    role: "student",
    courses: [],
    issuedAt: new Date().toISOString(),
  };
  await call("sync_user_v1", { userId: "ada", limit: 100, ...claims });
  await call("create_room_v1", { id: roomId, name: "Lab", type: "PUBLIC", isPrivate: false, userId: "ada" });
  const send = async (): Promise<number> => {
    const item = { id: crypto.randomUUID(), roomId, senderId: "ada", clientMessageId: crypto.randomUUID() };
    const batch = [{ ...item, content: "hello", type: "TEXT", attachments: [] }];
    const [row] = await sql`select code, seq from append_messages_v1(${JSON.stringify(batch)}::text::jsonb)`;
    strictEqual(row?.code, null);
    return Number(row?.seq);
  };
  const seqs = await sendAround(send, () => migrate({ url }, MIGRATIONS, quietLog));
  deepStrictEqual(seqs, seqs.map((_, i) => (seqs[0] ?? 0) + i));
});

Deno.test("a node goes on, and starts, while a migration of a release to come is applied beside it", async () => {
  await using database = await createTestDatabase();
  await using app = await startTestApp({ database });
  await using folder = await folderOf(names.length, { "9000_later.sql": LATER });
  const ada = await app.connect("ada");
  const { room } = await ada.call("create_room", { name: "Lab", type: "PUBLIC" });
  await ada.call("join_room", { roomId: room.id });
  const send = async (): Promise<number> => {
    const { message } = await ada.call("send_message", { roomId: room.id, content: "hello" });
    return message.seq;
  };
  const seqs = await sendAround(send, async () => {
    deepStrictEqual(await migrate({ url: database.url }, folder.url, quietLog), ["9000_later.sql"]);
  });
  deepStrictEqual(seqs, seqs.map((_, i) => (seqs[0] ?? 0) + i));
  await requireMigrated({ url: database.url }, MIGRATIONS);
  await using other = await startTestApp({ database });
  const { messages } = await (await other.connect("ada")).call("list_messages", {
    roomId: room.id,
    limit: 100,
  });
  strictEqual(messages.at(-1).seq, seqs.at(-1));
  ok(messages.every((message: object) => !("later" in message)));
});

/** Seqs of what was sent before, while and after the work ran, in order. */
async function sendAround(send: () => Promise<number>, work: () => Promise<unknown>): Promise<number[]> {
  const seqs: number[] = [];
  let isOver = false;
  const senders = Array.from({ length: SENDERS }, async () => {
    for (let left = SENDS_BEFORE_AND_AFTER; left > 0; left -= isOver ? 1 : 0) seqs.push(await send());
  });
  const all = Promise.all(senders);
  all.catch(() => {}); // if the work fails, that is what is told
  while (seqs.length < SENDS_BEFORE_AND_AFTER) await new Promise((resolve) => setTimeout(resolve, 5));
  await work().finally(() => isOver = true);
  await all;
  return seqs.toSorted((a, b) => a - b);
}
