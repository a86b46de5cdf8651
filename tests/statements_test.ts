import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { startEmbeddedPostgres } from "../src/embedded/postgres.ts";
import { TestFolder } from "./embedded/owner.ts";
import { createTestDatabase } from "./helpers/databases.ts";
import { callsOf, COUNTING, isOfTheClock, StatementCounts } from "./helpers/statement_counts.ts";
import { startTestApp, type TestApp } from "./helpers/test_app.ts";
import type { TestSocket } from "./helpers/test_socket.ts";
import { connect } from "./store/fixture.ts";

const LONE_SENDS = 20;
const ROOMS = 50;
const SENDS_A_ROOM = 20;
const LANES = 8;

interface Counted {
  appends: number;
  others: string[];
}

/** What the server was asked since the last count, heartbeats apart. */
async function countStatements(statements: StatementCounts): Promise<Counted> {
  const rows = (await statements.take()).filter((row) => !isOfTheClock(row));
  const isAppend = (row: { query: string }) => row.query.includes("append_messages_v1");
  return {
    appends: callsOf(rows.filter(isAppend)),
    others: rows.filter((row) => !isAppend(row)).map((row) => row.query),
  };
}

interface Talker {
  socket: TestSocket;
  roomId: string;
}

async function gather(app: TestApp, count: number): Promise<Talker[]> {
  const talkers: Talker[] = [];
  for (let i = 0; i < count; i++) {
    const socket = await app.connect(`user-${i}`);
    const { room } = await socket.call("create_room", { name: `Room ${i}` });
    await socket.call("join_room", { roomId: room.id });
    talkers.push({ socket, roomId: room.id });
  }
  return talkers;
}

Deno.test("send_message is one statement when alone, and a small part of one under load", async (t) => {
  await using folder = await TestFolder.make();
  await using server = await startEmbeddedPostgres({
    dataDir: folder.dataDir(),
    database: "postgres",
    settings: { fsync: "off", ...COUNTING },
  });
  await using database = await createTestDatabase(server.url);
  await using stack = new AsyncDisposableStack();
  const sql = connect(database.url, 1);
  stack.defer(() => sql.end());
  const statements = await StatementCounts.of(sql);
  const env = { DATABASE_APPEND_LANES: String(LANES), CHAT_SWEEP_INTERVAL: "600000" };
  await using app = await startTestApp({ database, env });
  const talkers = await gather(app, ROOMS);
  const [ada] = talkers as [Talker];
  await countStatements(statements);

  await t.step("alone, in a room", async () => {
    const calls = app.app.appender.calls;
    for (let i = 0; i < LONE_SENDS; i++) {
      await ada.socket.call("send_message", { roomId: ada.roomId, content: `m${i}` });
    }
    deepStrictEqual(await countStatements(statements), { appends: LONE_SENDS, others: [] });
    strictEqual(app.app.appender.calls - calls, LONE_SENDS);
  });

  await t.step("alone, to a user, the first among them", async () => {
    for (let i = 0; i < LONE_SENDS; i++) {
      await ada.socket.call("send_direct_message", { recipientId: "user-1", content: `m${i}` });
    }
    deepStrictEqual(await countStatements(statements), { appends: LONE_SENDS, others: [] });
  });

  await t.step("1,000 at once in 50 rooms", async () => {
    const calls = app.app.appender.calls;
    const sent = talkers.flatMap(({ socket, roomId }) =>
      Array.from(
        { length: SENDS_A_ROOM },
        (_, i) => socket.call("send_message", { roomId, content: `m${i}` }),
      )
    );
    strictEqual((await Promise.all(sent)).length, ROOMS * SENDS_A_ROOM);
    const { appends, others } = await countStatements(statements);
    deepStrictEqual(others, []);
    strictEqual(app.app.appender.calls - calls, appends);
    ok(appends <= ROOMS * SENDS_A_ROOM / 5, `${appends} calls for ${ROOMS * SENDS_A_ROOM} sends`);
  });
});
