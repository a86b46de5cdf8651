import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import postgres from "postgres";
import {
  type EmbeddedPostgres,
  EmbeddedPostgresInUse,
  type EmbeddedPostgresOptions,
  findEmbeddedPostgres,
  startEmbeddedPostgres,
  stopLeftoverPostgres,
} from "../../src/embedded/postgres.ts";
import { OwnerProcess, serversIn, TestFolder } from "./owner.ts";

/** Without syncing: what is tested here does not depend on the disk. */
async function start(
  dataDir: string,
  more: Partial<EmbeddedPostgresOptions> = {},
): Promise<EmbeddedPostgres> {
  return await startEmbeddedPostgres({
    dataDir,
    database: "scroll_chat",
    settings: { fsync: "off" },
    ...more,
  });
}

const shared = { made: undefined as TestFolder | undefined, tests: 0 };
Deno.test.afterAll(async () => await shared.made?.[Symbol.asyncDispose]());

/**
 * A data folder that was used before, for tests of what comes after the first start: the same one each time,
 * since making a cluster is what takes long, with a database of the test's own.
 */
async function usedCluster(): Promise<{ dataDir: string; database: string }> {
  shared.made ??= await TestFolder.make();
  const dataDir = shared.made.dataDir();
  if (shared.tests++ === 0) await (await start(dataDir)).stop();
  await stopLeftoverPostgres(dataDir); // of a test that failed
  return { dataDir, database: `test_${shared.tests}` };
}

async function ask<Row extends Record<string, unknown>>(
  url: string,
  query: string,
): Promise<Row | undefined> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return (await sql.unsafe<Row[]>(query))[0];
  } finally {
    await sql.end();
  }
}

Deno.test("startEmbeddedPostgres() makes a durable UTF-8 database that a second start finds again", async () => {
  await using folder = await TestFolder.make();
  const dataDir = folder.dataDir("new", "folders");
  const progress: string[] = [];
  const first = await start(dataDir, { settings: {}, onProgress: (line) => progress.push(line) });
  deepStrictEqual(progress, ["Creating the database cluster (first start)…"]);
  deepStrictEqual(
    await ask(
      first.url,
      `select current_database() as name, current_setting('fsync') as fsync, lower('ÀÉ') as lower,
        current_setting('synchronous_commit') as synced, current_setting('max_connections') as connections,
        current_setting('server_encoding') as encoding, current_setting('TimeZone') as zone`,
    ),
    {
      ...{ name: "scroll_chat", fsync: "on", synced: "on", lower: "àé" },
      ...{ connections: "200", encoding: "UTF8", zone: "UTC" },
    },
  );
  await ask(first.url, "create table kept as select 42 as answer");
  await first.stop();
  await first.stop();
  deepStrictEqual(await serversIn(folder.path), []);

  const began = performance.now();
  await using second = await start(dataDir);
  const took = performance.now() - began;
  ok(took < 3_000, `the second start took ${took} ms`);
  deepStrictEqual(await ask(second.url, "select answer from kept"), { answer: 42 });
});

Deno.test("startEmbeddedPostgres() listens on this machine alone and wants the password", async () => {
  const { dataDir } = await usedCluster();
  await using server = await start(dataDir, {
    settings: { fsync: "off", port: "1", max_connections: "20" },
  });
  const addresses =
    "select current_setting('listen_addresses') as tcp, current_setting('max_connections') as max";
  deepStrictEqual(await ask(server.url, addresses), { tcp: "127.0.0.1", max: "20" });
  const wrong = new URL(server.url);
  wrong.password = "guess";
  await rejects(ask(wrong.href, "select 1"), { code: "28P01" });
});

Deno.test("startEmbeddedPostgres() makes a database of any plain name, and refuses others", async () => {
  await using folder = await TestFolder.make();
  const database = "Select-2_x";
  await using server = await start(folder.dataDir(), { database });
  deepStrictEqual(await ask(server.url, "select current_database() as name"), { name: database });
  for (const name of ["", "a/b", "a b", "ü", "x".repeat(64)]) {
    await rejects(start(folder.dataDir("never"), { database: name }), TypeError);
  }
});

Deno.test("findEmbeddedPostgres() knows the server while it runs, and only then", async () => {
  const { dataDir, database } = await usedCluster();
  strictEqual(await findEmbeddedPostgres(dataDir), undefined);
  const server = await start(dataDir, { database });
  const found = await findEmbeddedPostgres(dataDir);
  strictEqual(found?.url, server.url);
  strictEqual(found.port, Number(new URL(server.url).port));
  // Killed together with its state file's writer, the server must not be found either.
  const state = await Deno.readTextFile(join(dataDir, "postgres.json"));
  await server.stop();
  strictEqual(await findEmbeddedPostgres(dataDir), undefined);
  await Deno.writeTextFile(join(dataDir, "postgres.json"), state);
  strictEqual(await findEmbeddedPostgres(dataDir), undefined);
  await Deno.writeTextFile(join(dataDir, "postgres.json"), state.replace(/"pid":\d+/, `"pid":${Deno.pid}`));
  strictEqual(await findEmbeddedPostgres(dataDir), undefined);
});

Deno.test("startEmbeddedPostgres() refuses a second owner at once and names the first", async () => {
  const { dataDir, database } = await usedCluster();
  await using owner = OwnerProcess.start(dataDir, { database });
  await owner.next("up");
  await rejects(start(dataDir, { database }), (error) => {
    ok(error instanceof EmbeddedPostgresInUse);
    strictEqual(error.pid, owner.pid);
    match(error.message, new RegExp(`in use by process ${owner.pid} .*kill ${owner.pid}`));
    return true;
  });
  Deno.kill(owner.pid, "SIGTERM");
  await owner.next("stopped");

  await using server = await start(dataDir, { database });
  await rejects(start(dataDir, { database }), EmbeddedPostgresInUse);
  await using late = OwnerProcess.start(dataDir, { database });
  strictEqual((await late.next("refused")).pid, Deno.pid);
  deepStrictEqual(await ask(server.url, "select count(*)::int as starts from kept"), { starts: 1 });
});

Deno.test("startEmbeddedPostgres() has one winner when several start at once", async () => {
  await using folder = await TestFolder.make();
  const dataDir = folder.dataDir();
  const starts = await Promise.allSettled(Array.from({ length: 5 }, () => start(dataDir)));
  const [winner, ...others] = starts.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  deepStrictEqual(others, []);
  for (const result of starts) {
    if (result.status === "rejected") ok(result.reason instanceof EmbeddedPostgresInUse, result.reason);
  }
  strictEqual((await serversIn(folder.path)).length, 1);
  await winner?.stop();
});

Deno.test("startEmbeddedPostgres() stops the server of an owner that was killed", async () => {
  const { dataDir, database } = await usedCluster();
  await using owner = OwnerProcess.start(dataDir, { database });
  const { url } = await owner.next("up");
  await owner.kill();
  strictEqual((await serversIn(dataDir)).length, 1);
  strictEqual((await findEmbeddedPostgres(dataDir))?.url, url);

  const progress: string[] = [];
  await using server = await start(dataDir, { database, onProgress: (line) => progress.push(line) });
  match(progress.join("\n"), /left behind/);
  strictEqual((await serversIn(dataDir)).length, 1);
  deepStrictEqual(await ask(server.url, "select count(*)::int as starts from kept"), { starts: 1 });
});

Deno.test("startEmbeddedPostgres() is not hindered by stale files, whoever has their pid now", async () => {
  const { dataDir, database } = await usedCluster();
  const cluster = join(dataDir, "cluster");
  const uid = (await Deno.stat(cluster)).uid ?? 0; // Postgres minds only strangers of its own account
  const stranger = new Deno.Command("sleep", { args: ["600"], uid }).spawn();
  const ended = new Deno.Command("true").spawn();
  await ended.status;
  const pidFileOf = (pid: number): string =>
    `${pid}\n${cluster}\n1700000000\n5432\n\n127.0.0.1\n  1 2\nready   \n`;
  const stale = { dead: pidFileOf(ended.pid), stranger: pidFileOf(stranger.pid), empty: "", torn: "abc" };
  for (const [kind, text] of Object.entries(stale)) {
    await Deno.writeTextFile(join(cluster, "postmaster.pid"), text);
    await Deno.writeTextFile(join(dataDir, "owner.json"), `{"pid":${Deno.pid},"birth":"x","since":"then"}`);
    await using server = await start(dataDir, { database });
    deepStrictEqual(await ask(server.url, `select '${kind}' as kind`), { kind });
  }
  stranger.kill();
  strictEqual((await stranger.status).signal, "SIGTERM"); // ours: the starts had left it alone
});

Deno.test("startEmbeddedPostgres() survives a server that was killed under load", async () => {
  // the client of the test may be in the midst of a write when its server dies, and throws that at nobody
  const ignore = (event: PromiseRejectionEvent | ErrorEvent): void => {
    const fault = "reason" in event ? event.reason : event.error;
    if (String(fault).includes("ended by the other party")) event.preventDefault();
  };
  using listening = new DisposableStack();
  for (const name of ["unhandledrejection", "error"] as const) {
    globalThis.addEventListener(name, ignore);
    listening.defer(() => globalThis.removeEventListener(name, ignore));
  }
  const { dataDir, database } = await usedCluster();
  const ended = Promise.withResolvers<string>();
  const server = await start(dataDir, {
    database,
    onProgress: (line) => line.includes("by itself") && ended.resolve(line),
  });
  await ask(server.url, "create table kept as select 42 as answer");
  const lost = rejects(ask(server.url, "select pg_sleep(60)"));
  const pid = (await findEmbeddedPostgres(dataDir))?.pid ?? 0;
  Deno.kill(pid, "SIGKILL");
  match(await ended.promise, /SIGKILL/);
  await server.stop();
  await using again = await start(dataDir, { database });
  deepStrictEqual(await ask(again.url, "select answer from kept"), { answer: 42 });
  await lost;
});

Deno.test("stop() comes before Ctrl-C, which a terminal sends to the whole process group", async () => {
  const { dataDir, database } = await usedCluster();
  await using owner = OwnerProcess.start(dataDir, { database });
  await owner.next("up");
  owner.signalGroup("SIGINT");
  strictEqual((await owner.next("answered")).rows, 1);
  await owner.next("stopped");
  deepStrictEqual(await serversIn(dataDir), []);
});

Deno.test("startEmbeddedPostgres() says what the log says when the server cannot start", async () => {
  const { dataDir, database } = await usedCluster();
  await rejects(
    start(dataDir, { settings: { shared_buffers: "plenty" } }),
    /could not start[^]*shared_buffers/,
  );
  deepStrictEqual(await serversIn(dataDir), []);
  await using server = await start(dataDir, { database }); // the failed start holds no lock
  ok(server.url);
});

Deno.test("startEmbeddedPostgres() refuses a cluster of another version and a folder that is none", async () => {
  const { dataDir, database } = await usedCluster();
  const versionFile = join(dataDir, "cluster/PG_VERSION");
  const version = await Deno.readTextFile(versionFile);
  await Deno.writeTextFile(versionFile, "17\n");
  await rejects(start(dataDir, { database }), /made by PostgreSQL 17, and this is PostgreSQL 18/);
  await Deno.remove(versionFile);
  await rejects(start(dataDir, { database }), /no PostgreSQL cluster/);
  await Deno.writeTextFile(versionFile, version);
  deepStrictEqual(await serversIn(dataDir), []);
});

Deno.test("startEmbeddedPostgres() clears away a cluster that was never finished", async () => {
  await using folder = await TestFolder.make();
  const dataDir = folder.dataDir();
  await Deno.mkdir(join(dataDir, "cluster.new.killed/data"), { recursive: true });
  await using _server = await start(dataDir);
  const left = Array.from(Deno.readDirSync(dataDir), ({ name }) => name).sort();
  deepStrictEqual(left, ["cluster", "owner.json", "postgres.json", "postgres.log"]);
});
