/**
 * `deno task bench:storm`: a node with 3,000 sockets is told to go, and all of them come to the other one: how long it
 * takes, and what Postgres and Redis are asked for each.
 */
import postgres from "postgres";
import { startEmbeddedPostgres } from "../../src/embedded/postgres.ts";
import { cpuSeconds } from "../../tests/faults/processes.ts";
import { createTestDatabase } from "../../tests/helpers/databases.ts";
import { readLines } from "../../tests/helpers/child_process.ts";
import { startNodeProcess } from "../../tests/helpers/node_process.ts";
import { RedisServer } from "../../tests/helpers/redis.ts";
import { callsOf, COUNTING, isOfTheClock, StatementCounts } from "../../tests/helpers/statement_counts.ts";
import { signToken } from "../../tests/helpers/test_app.ts";
import { TestFolder } from "../../tests/embedded/owner.ts";
import type { StormResult } from "./clients.ts";

const SOCKETS = 3_000;
const ROOMS = 300;
const ROOMS_EACH = 10;
const RESULTS = new URL("../results/storm.md", import.meta.url);

async function main(): Promise<void> {
  await using folder = await TestFolder.make();
  await using server = await startEmbeddedPostgres({
    dataDir: folder.dataDir(),
    database: "postgres",
    settings: { fsync: "off", ...COUNTING },
  });
  await using database = await createTestDatabase(server.url);
  await using redis = await RedisServer.start();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  await using parts = new AsyncDisposableStack();
  parts.defer(() => sql.end());
  const counts = await StatementCounts.of(sql);
  await fill(sql);
  const env = { REDIS_URL: redis.url };
  const from = parts.use(await startNodeProcess(database.url, env));
  const to = parts.use(await startNodeProcess(database.url, env));
  const tokens = await Promise.all(Array.from({ length: SOCKETS }, (_, i) => signToken(`user${i}`)));
  const socketUrl = (url: string) => `${url.replace("http", "ws")}/ws`;

  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", new URL("clients.ts", import.meta.url).href],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const told = new Map<string, (value: unknown) => void>();
  const stage = (name: string) => new Promise((resolve) => told.set(name, resolve));
  const [connected, moved] = [stage("connected"), stage("moved")];
  const reading = readLines(child.stdout, (line) => {
    const { stage, ...rest } = JSON.parse(line);
    told.get(stage)?.(rest);
  });
  const writer = child.stdin.getWriter();
  await writer.write(
    new TextEncoder().encode(JSON.stringify({ urls: [socketUrl(from.url), socketUrl(to.url)], tokens })),
  );
  await writer.close();
  const ended = child.status.then(({ code }) => Promise.reject(new Error(`The clients ended with ${code}`)));
  ended.catch(() => {}); // told by the races below
  await Promise.race([connected, ended]);
  await new Promise((resolve) => setTimeout(resolve, 3_000)); // what the connecting left to do
  await counts.take();
  await redis.takeCommandCounts();
  const cpu = cpuSeconds(to.pid);
  from.kill("SIGTERM");
  const result = await Promise.race([moved, ended]) as StormResult;
  const statements = (await counts.take()).filter((statement) => !isOfTheClock(statement));
  const commands = await redis.takeCommandCounts();
  await Promise.all([child.status, reading]);
  const asked = ["publish", "subscribe", "evalsha", "eval"].reduce(
    (sum, name) => sum + (commands.get(name) ?? 0),
    0,
  );
  const sorted = result.awayMs.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
  const each = (count: number) => (count / SOCKETS).toFixed(2);
  await report([
    `| sockets, ${ROOMS_EACH} rooms each | ${SOCKETS} |`,
    `| from the first close to the last one back and caught up | ${(result.allMs / 1000).toFixed(1)} s |`,
    `| a client is away, p50 / p99 / max | ${at(0.5)} / ${at(0.99)} / ${at(1)} ms |`,
    `| attempts to connect a client | ${each(result.tries)} |`,
    `| statements a reconnect, and their time in Postgres | ${each(callsOf(statements))}, ${
      each(statements.reduce((sum, { ms }) => sum + ms, 0))
    } ms |`,
    `| Redis commands a reconnect | ${each(asked)} |`,
    `| CPU of the node they come to, a reconnect | ${
      ((cpuSeconds(to.pid) - cpu) * 1000 / SOCKETS).toFixed(2)
    } ms |`,
  ]);
}

async function fill(sql: postgres.Sql): Promise<void> {
  await sql`insert into users (id, name) select 'user' || i, 'User ' || i from generate_series(0, ${
    SOCKETS - 1
  }) i`;
  await sql`insert into rooms (id, name, type, created_by, last_seq, member_count)
    select gen_random_uuid(), 'Room ' || i, 'PUBLIC', 'user0', 1, ${SOCKETS * ROOMS_EACH / ROOMS}
    from generate_series(1, ${ROOMS}) i`;
  await sql`insert into memberships (room_id, user_id, joined_seq, change_seq)
    select r.id, u.id, 1, 1 from users u
    cross join lateral (select id from rooms order by md5(u.id || id::text) limit ${ROOMS_EACH}) r on conflict do nothing`;
  await sql`analyze`;
}

async function report(lines: string[]): Promise<void> {
  const text = `# A storm of reconnects

A node with ${SOCKETS} sockets gets SIGTERM; all of them come to the other node and catch up with \`sync\`. Nodes, clients,
Postgres and Redis on one machine of 2 cores (${
    new Date().toISOString().slice(0, 10)
  }). \`deno task bench:storm\`.

| | |
| --- | --- |
${lines.join("\n")}
`;
  await Deno.writeTextFile(RESULTS, text);
  await Deno.stdout.write(new TextEncoder().encode(text));
}

await main();
Deno.exit(0);
