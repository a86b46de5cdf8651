import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { migrate } from "../../src/store/migrate.ts";
import { createTestDatabase, MIGRATIONS, quietLog, serverUrl } from "../helpers/databases.ts";
import { startPgBouncer } from "../helpers/pgbouncer.ts";
import { startPostgres15 } from "../helpers/postgres15.ts";
import { startTestApp } from "../helpers/test_app.ts";
import { directRooms, faultyItem, judgedAfterTheLock, refusedItem, sendsAndRepeats } from "./append_suite.ts";
import { connect, type StoreOptions } from "./fixture.ts";

const ROUNDS = 3;

async function runSuite(t: Deno.TestContext, options: StoreOptions): Promise<void> {
  await t.step("400 sends, 160 of them repeats, from 4 nodes", () => sendsAndRepeats(options, ROUNDS));
  await t.step("400 direct messages from 4 nodes", () => directRooms(options, ROUNDS));
  await t.step("judged after the lock", () => judgedAfterTheLock(options));
  await t.step("a refused item", () => refusedItem(options));
  await t.step("an item that makes the call fail", () => faultyItem(options));
}

/** Every kind of statement once, by way of the node's own doors. */
async function talk(url: string, env: Record<string, string>): Promise<void> {
  await using app = await startTestApp({ database: { url, [Symbol.asyncDispose]: async () => {} }, env });
  const [ada, ben] = [await app.rest("ada"), await app.rest("ben")];
  const done = (answer: { status: number; body: unknown }) => {
    ok(answer.status < 300, `${answer.status} ${JSON.stringify(answer.body)}`);
    // deno-lint-ignore no-explicit-any -- read by field
    return answer.body as any;
  };
  const listener = await app.connect("ben");
  const { room } = done(await ada.post("/rooms", { name: "Room" }));
  await listener.call("join_room", { roomId: room.id });
  const { message } = done(await ada.post("/messages", { roomId: room.id, content: "a word" }));
  strictEqual((await listener.next("message_received")).message.id, message.id);
  done(await ada.put(`/messages/${message.id}`, { content: "another word" }));
  strictEqual((await listener.next("message_updated")).message.content, "another word");
  strictEqual(done(await ben.get("/messages/search?query=another")).messages.length, 1);
  done(await ben.post(`/messages/${message.id}/read`));
  done(await ben.post("/direct-messages", { recipientId: "ada", content: "psst" }));
  strictEqual(done(await ada.get("/direct-messages")).conversations.length, 1);
  strictEqual(done(await ada.get("/rooms")).rooms.length, 1);
  strictEqual(done(await ada.get("/rooms/discover")).rooms.length, 1);
  strictEqual(done(await ada.get(`/rooms/${room.id}/members`)).members.length, 2);
  done(await ada.delete(`/messages/${message.id}`));
  strictEqual(await app.app.retention.removeBefore(new Date(Date.now() + 60_000)), 2);
  deepStrictEqual(done(await ada.get(`/rooms/${room.id}/messages`)).messages, []);
}

Deno.test("the store on Postgres 15", async (t) => {
  await using server = await startPostgres15();
  await runSuite(t, { server: server.url });
  await using database = await createTestDatabase(server.url);
  await t.step("every kind of statement", () => talk(database.url, {}));
});

Deno.test("the store behind PgBouncer in transaction mode", async (t) => {
  await using bouncer = await startPgBouncer(serverUrl());
  const through = (url: string) => bouncer.through(url);
  await runSuite(t, { through, prepare: false });
  await using database = await createTestDatabase();
  await t.step("every kind of statement", () => talk(through(database.url), { DATABASE_PREPARE: "false" }));
  await t.step(
    "leaves nothing in the sessions that it shares",
    () => sessionsAreClean(through(database.url)),
  );
  await t.step("migrations", () => migrates(through));
  await t.step({
    name: "prepared statements, from PgBouncer 1.21 on",
    ignore: !bouncer.hasPreparedStatements,
    fn: async (t) => {
      await runSuite(t, { through, prepare: true });
      await talk(through(database.url), { DATABASE_PREPARE: "true" });
    },
  });
});

/** Asked of several connections of the server at once, as any next client would find them. */
async function sessionsAreClean(url: string): Promise<void> {
  const sql = connect(url, 6, { prepare: false });
  try {
    const asked = Array.from({ length: 6 }, () =>
      sql.begin(async (tx) => {
        const [row] = await tx`
          select pg_backend_pid() as pid, pg_sleep(0.05), current_setting('lock_timeout') as "lockTimeout",
            (select coalesce(string_agg(statement, '; '), '') from pg_prepared_statements) as prepared,
            (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as advisory,
            (select count(*) from pg_listening_channels()) as listening,
            (select count(*) from pg_class where relpersistence = 't') as temporary`;
        return row;
      }));
    const rows = await Promise.all(asked);
    ok(new Set(rows.map((row) => row?.["pid"])).size > 1);
    for (const row of rows) {
      const { lockTimeout, prepared, advisory, listening, temporary } = row ?? {};
      deepStrictEqual({ lockTimeout, prepared, advisory, listening, temporary }, {
        ...{ lockTimeout: "0", prepared: "", advisory: 0, listening: 0, temporary: 0 },
      });
    }
  } finally {
    await sql.end();
  }
}

async function migrates(through: (url: string) => string): Promise<void> {
  await using empty = await createTestDatabase();
  const sql = connect(empty.url, 1);
  try {
    await sql.unsafe("drop schema public cascade; create schema public");
    const names = await migrate({ url: through(empty.url) }, MIGRATIONS, quietLog);
    ok(names.length >= 3);
    deepStrictEqual(await migrate({ url: through(empty.url) }, MIGRATIONS, quietLog), []);
  } finally {
    await sql.end();
  }
}
