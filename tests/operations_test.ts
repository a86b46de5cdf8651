/**
 * What each thing costs Postgres and Redis: statements and commands counted by the servers themselves. The table of the
 * README is what this test allows. Heartbeats (four publications a second, whatever is done) are left out.
 */
import { ok } from "node:assert/strict";
import { startEmbeddedPostgres } from "../src/embedded/postgres.ts";
import { TestFolder } from "./embedded/owner.ts";
import { until } from "./bus/until.ts";
import { createTestDatabase } from "./helpers/databases.ts";
import { RedisServer } from "./helpers/redis.ts";
import { callsOf, COUNTING, isOfTheClock, StatementCounts } from "./helpers/statement_counts.ts";
import { startTestApp } from "./helpers/test_app.ts";
import { connect } from "./store/fixture.ts";

const TIMES = 20;
const OPEN_ROOMS = 50_000;
/** What a node asks of Redis for what its users do; scripts count as one, whatever they do inside. */
const ASKED = new Set(["publish", "subscribe", "unsubscribe", "evalsha", "eval"]);

/** At most so many statements and commands for one. */
const ALLOWED: Record<string, { postgres: number; redis: number }> = {
  "send a message": { postgres: 1, redis: 1 },
  "send a direct message": { postgres: 1, redis: 2 },
  "hear a room that one is a member of": { postgres: 1, redis: 0 },
  "join a room": { postgres: 4, redis: 3 },
  "type": { postgres: 1, redis: 1 },
  "mark as read": { postgres: 1, redis: 2 },
  "choose a status": { postgres: 3, redis: 5 },
  "reconnect, nothing new in 10 rooms": { postgres: 3, redis: 0 },
  "reconnect and catch up with 10 rooms": { postgres: 12, redis: 0 },
  "connect as a new user": { postgres: 2, redis: 4 },
};

interface Counted {
  postgres: number;
  redis: number;
  of: string[];
}

class Counter {
  readonly #statements: StatementCounts;
  readonly #redis: RedisServer;

  constructor(statements: StatementCounts, redis: RedisServer) {
    this.#statements = statements;
    this.#redis = redis;
  }

  async take(): Promise<Counted> {
    const rows = (await this.#statements.take()).filter((row) => !isOfTheClock(row));
    const commands = await this.#redis.takeCommandCounts();
    const counted = [...commands].filter(([name]) => ASKED.has(name));
    return {
      postgres: callsOf(rows),
      redis: counted.reduce((sum, [, calls]) => sum + calls, 0),
      of: [
        ...rows.map(({ query, calls }) => `${calls} ${query.slice(0, 60).replaceAll(/\s+/g, " ")}`),
        ...counted.map(([name, calls]) => `${calls} ${name}`),
      ],
    };
  }
}

Deno.test("Postgres and Redis are asked no more than the table says", async (t) => {
  await using folder = await TestFolder.make();
  await using server = await startEmbeddedPostgres({
    dataDir: folder.dataDir(),
    database: "postgres",
    settings: { fsync: "off", ...COUNTING },
  });
  await using database = await createTestDatabase(server.url);
  await using redis = await RedisServer.start();
  await using stack = new AsyncDisposableStack();
  const sql = connect(database.url, 1);
  stack.defer(() => sql.end());
  const statements = await StatementCounts.of(sql);
  const env = { REDIS_URL: redis.url, CHAT_SWEEP_INTERVAL: "600000", CHAT_PRESENCE_GRACE: "60000" };
  await using app = await startTestApp({ database, env });
  const counter = new Counter(statements, redis);

  const [ada, bob] = [await app.connect("ada"), await app.connect("bob")];
  const rooms: string[] = [];
  for (let i = 0; i < TIMES + 10; i++) {
    const { room } = await ada.call("create_room", { name: `Room ${i}` });
    rooms.push(room.id);
    await bob.call("join_room", { roomId: room.id, membership: true }).catch(() => {});
  }
  const roomId = rooms[0] ?? "";
  await ada.call("join_room", { roomId });
  await bob.call("join_room", { roomId });
  const messages: string[] = [];
  for (let i = 0; i < TIMES; i++) {
    messages.push((await ada.call("send_message", { roomId, content: `m${i}` })).message.id);
  }

  const settled = async (): Promise<void> => {
    for (let last = -1, now = -2; last !== now;) {
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 300));
      now = callsOf((await statements.read()).filter((row) => !isOfTheClock(row)));
    }
  };

  /** Postgres and Redis at rest; then so often; then at rest again. */
  const measure = async (
    name: string,
    times: number,
    work: (i: number) => Promise<unknown>,
  ): Promise<void> => {
    await t.step(name, async () => {
      await settled();
      await counter.take();
      const started = performance.now();
      for (let i = 0; i < times; i++) await work(i);
      await settled();
      const seconds = (performance.now() - started) / 1000;
      const counted = await counter.take();
      const beats = Math.ceil(seconds + 1) * 4; // four heartbeats a second
      const allowed = ALLOWED[name] ?? { postgres: 0, redis: 0 };
      const perOne = `${counted.postgres / times} statements, ${
        counted.redis / times
      } commands (${beats} beats in all)`;
      ok(counted.postgres <= allowed.postgres * times, `${perOne}: ${counted.of.join("; ")}`);
      ok(
        counted.redis <= allowed.redis * times + beats + Math.ceil(seconds),
        `${perOne}: ${counted.of.join("; ")}`,
      );
    });
  };

  await measure("send a message", TIMES, (i) => ada.call("send_message", { roomId, content: `again ${i}` }));
  await ada.call("send_direct_message", { recipientId: "bob", content: "first" });
  await measure(
    "send a direct message",
    TIMES,
    (i) => ada.call("send_direct_message", { recipientId: "bob", content: `d${i}` }),
  );
  await measure("hear a room that one is a member of", TIMES, () => ada.call("join_room", { roomId }));
  const carol = await app.connect("carol");
  await measure("join a room", TIMES, (i) => carol.call("join_room", { roomId: rooms[i + 1] }));
  await measure("mark as read", TIMES, (i) => bob.call("mark_as_read", { messageId: messages[i] }));
  await measure("type", 1, () => bob.call("typing", { roomId, isTyping: true }));
  await measure(
    "choose a status",
    TIMES,
    (i) => bob.call("update_status", { status: i % 2 === 0 ? "busy" : "online" }),
  );
  let dora = await app.connect("dora");
  for (const id of rooms.slice(0, 10)) await dora.call("join_room", { roomId: id });
  const { rooms: told } = await dora.call("sync", { positions: {} });
  const positions = Object.fromEntries(
    // deno-lint-ignore no-explicit-any -- checked against the published schemas
    told.map(({ roomId, position }: any) => [roomId, position]),
  );
  await measure("reconnect, nothing new in 10 rooms", TIMES, async () => {
    await dora.close();
    dora = await app.connect("dora");
    await dora.call("sync", { positions });
  });
  await measure("reconnect and catch up with 10 rooms", TIMES, async () => {
    await dora.close();
    dora = await app.connect("dora");
    await dora.call("sync", { positions: {} });
  });
  await measure("connect as a new user", TIMES, (i) => app.connect(`new ${i}`));

  await t.step(`a sweep of ${OPEN_ROOMS} open rooms is a statement for each thousand`, async () => {
    await sql`insert into rooms (id, name, type, created_by, last_seq)
      select gen_random_uuid(), 'r' || i, 'PUBLIC', 'ada', 1 from generate_series(1, ${OPEN_ROOMS}) i`;
    const ids = (await sql<{ id: string }[]>`select id from rooms where name like 'r%' limit ${OPEN_ROOMS}`)
      .map((
        { id },
      ) => id);
    // without Redis: topics that are subscribed to late are compared once more
    await using lone = await startTestApp({ database, env: { CHAT_SWEEP_INTERVAL: "600000" } });
    const { hub } = lone.app;
    const topics = ids.map((id) => `room:${id}` as const);
    const listener = {
      ...{ closed: undefined, userId: "ada" },
      ...{ offer: () => {}, offerEphemeral: () => {}, forget: () => {} },
    } as never;
    for (const topic of topics) {
      hub.hear(listener, topic);
      hub.startAt(topic, 1);
    }
    await until(() => hub.topics().length >= OPEN_ROOMS, "all of them to be open", 60_000);
    await settled();
    await counter.take();
    for (let from = 0; from < topics.length; from += 1_000) {
      await hub.sweep(topics.slice(from, from + 1_000), from === 0);
    }
    const counted = await counter.take();
    ok(
      counted.postgres === OPEN_ROOMS / 1_000 + 1,
      `${counted.postgres} statements: ${counted.of.join("; ")}`,
    );
    hub.drop(listener);
  });
});
