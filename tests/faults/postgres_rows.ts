/** Postgres: killed, stopped, full, busy with locks; and a node that it is out of reach for. */
import { ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import postgres from "postgres";
import type { Mode } from "./fault_proxy.ts";
import { brokenNode, lasts, type MatrixRow, ownPostgres } from "./matrix_row.ts";
import { until } from "./until.ts";
import type { World } from "./world.ts";

/** What was acknowledged between two moments. */
function ackedBetween({ publishers }: World, from: number, to: number): number {
  return publishers.flatMap(({ sent }) => sent).filter(({ ack }) =>
    ack !== undefined && ack.at > from && ack.at < to
  )
    .length;
}

/** For answers that were on their way. */
const ON_THE_WAY_MS = 200;

/** A send is tried for so long before it is refused. */
const REFUSED_S = 5;

const killedRow = (seconds: number, isBounded: boolean): MatrixRow => ({
  name: `F7 Postgres killed with all its processes, back after ${seconds} s`,
  isBounded,
  options: { postgres: {} },
  fault: async (world) => {
    await ownPostgres(world).killAll();
    const from = performance.now();
    await lasts(seconds > REFUSED_S ? seconds - REFUSED_S : seconds);
    if (seconds > REFUSED_S) await expectRefusal(world);
    strictEqual(ackedBetween(world, from + ON_THE_WAY_MS, performance.now()), 0);
    await ownPostgres(world).launch();
  },
});

/** A node without its database says so, and when to come back. */
async function expectRefusal(world: World): Promise<void> {
  const ready = await fetch(`${brokenNode(world).url}/readyz`);
  await ready.body?.cancel();
  strictEqual(ready.status, 503);
  const { status, headers, body } = await world.owner(1).post("/messages", {
    roomId: world.rooms[0],
    content: "never stored",
    clientMessageId: "never",
  });
  strictEqual(status, 503);
  ok(Number(headers.get("retry-after")) > 0);
  strictEqual(body.error.retryable, true);
}

const pausedRow = (seconds: number, isBounded: boolean): MatrixRow => ({
  name: `F11 Postgres stands still for ${seconds} s`,
  isBounded,
  options: { postgres: {} },
  fault: async (world) => {
    await ownPostgres(world).pause();
    await lasts(seconds);
    await ownPostgres(world).resume();
  },
});

const linkRow = (name: string, mode: Mode, seconds: number): MatrixRow => ({
  name: `F7 one node and Postgres: ${name} for ${seconds} s`,
  isBounded: false,
  options: { proxies: { postgres: true } },
  fault: async (world) => {
    const { postgresProxy } = brokenNode(world);
    postgresProxy?.set(mode);
    await lasts(seconds);
    postgresProxy?.set("pass");
  },
});

async function withSql(world: World, work: (sql: postgres.Sql) => Promise<void>): Promise<void> {
  const sql = postgres(world.databaseUrl, {
    ...{ max: 1, fetch_types: false, onnotice: () => {} },
    connection: { application_name: "fault" },
  });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 2 });
  }
}

const disturb: MatrixRow[] = [
  {
    name: "F8 a backend killed each 100 ms for 4 s",
    isBounded: false,
    fault: (world) =>
      withSql(world, async (sql) => {
        for (let turn = 0; turn < 40; turn++) {
          await sql`select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'scroll-chat' order by random() limit 1`;
          await lasts(0.1);
        }
      }),
  },
  {
    name: "F8 statements time out behind locks for 4 s",
    isBounded: false,
    fault: (world) =>
      withSql(world, async (sql) => {
        const name = new URL(world.databaseUrl).pathname.slice(1);
        await sql.unsafe(`alter database ${name} set statement_timeout = '300ms'`);
        await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'scroll-chat'`;
        await sql.begin(async (tx) => {
          await tx`set local statement_timeout = 0`;
          await tx`lock table rooms in access exclusive mode`;
          await lasts(4);
        });
        await sql.unsafe(`alter database ${name} reset statement_timeout`);
        await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'scroll-chat'`;
      }),
  },
  {
    name: "F8 every statement waits for a lock for 7 s",
    isBounded: false,
    fault: (world) =>
      withSql(world, (sql) =>
        sql.begin(async (tx) => {
          await tx`lock table rooms, memberships, messages in access exclusive mode`;
          await lasts(7);
        }) as Promise<void>),
  },
];

const fullRow: MatrixRow = {
  name: "F13 the disk of Postgres is full for 8 s",
  isBounded: false,
  options: {
    postgres: { diskMiB: 160, settings: { max_wal_size: "64MB", min_wal_size: "32MB" } },
    busyRoom: { perSecond: 20, length: 4_900 },
  },
  fault: async (world) => {
    const server = ownPostgres(world);
    const filler = join(server.folder, "filler");
    // again and again: a checkpoint makes place
    const filling = setInterval(() => fill(filler), 200);
    const isRefused = () => ackedBetween(world, performance.now() - 2_000, performance.now()) === 0;
    await until(isRefused, 30_000, "no send to be acknowledged").finally(() => clearInterval(filling));
    await lasts(6);
    await Deno.remove(filler);
    // it has ended if it could not even recover: whoever makes place starts it again
    await until(
      async () => server.isRunning ? await answers(world) : await server.launch().then(() => false),
      20_000,
      "Postgres",
    );
  },
};

async function answers(world: World): Promise<boolean> {
  try {
    await withSql(world, async (sql) => void await sql`select 1`);
    return true;
  } catch {
    return false;
  }
}

/** Until nothing fits any more. */
function fill(path: string): void {
  using file = Deno.openSync(path, { append: true, create: true });
  const piece = new Uint8Array(1024 * 1024);
  for (let size = piece.length; size >= 4_096;) {
    try {
      file.writeSync(piece.subarray(0, size));
    } catch {
      size /= 2;
    }
  }
}

export const postgresRows: MatrixRow[] = [
  killedRow(1, true),
  killedRow(15, false),
  linkRow("refused", "cut", 4),
  linkRow("black hole", "hole", 8),
  linkRow("stalled", "stall", 8),
  ...disturb,
  pausedRow(5, false),
  pausedRow(60, false),
  fullRow,
];
