/**
 * The embedded Postgres under accounts and in folders as people have them. Each owner runs from a clone with
 * the package as npm brings it. Only root can become somebody else, so without root there is nothing to try.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { cloneInto, OwnerProcess, serversIn, TestFolder } from "./owner.ts";

const NAMED_UID = 65534;
const NAMELESS_UID = 12345;
const ignore = Deno.uid() !== 0;

async function canMask(uid: number): Promise<boolean> {
  const args = ["--user", "--map-user=65534", "--map-group=65534", "true"];
  const { success } = await new Deno.Command("unshare", { args, uid, gid: uid }).output();
  return success;
}

/** Two runs, the second of which must find what the first one wrote. */
async function runTwice(dataDir: string, options: { clone: string; uid?: number }): Promise<void> {
  for (const run of [1, 2]) {
    await using owner = OwnerProcess.start(dataDir, options);
    await owner.next("up");
    Deno.kill(owner.pid, "SIGTERM");
    strictEqual((await owner.next("answered")).rows, run);
    await owner.next("stopped");
  }
}

async function ownFolder(path: string, uid: number, mode: number): Promise<void> {
  await Deno.mkdir(path);
  await Deno.chmod(path, mode);
  await Deno.chown(path, uid, uid);
}

Deno.test(
  { name: "startEmbeddedPostgres() works as an ordinary user whose clone is root's", ignore },
  async () => {
    await using folder = await TestFolder.make();
    const clone = await cloneInto(folder.path);
    await ownFolder(join(clone, "home"), NAMED_UID, 0o755);
    const dataDir = folder.dataDir("clone/home");
    await runTwice(dataDir, { clone, uid: NAMED_UID });
    const names = Array.from(Deno.readDirSync(dataDir), ({ name }) => name);
    ok(names.some((name) => name.startsWith("binaries-")), "a package without links needs a copy of our own");
    deepStrictEqual(await serversIn(folder.path), []);
  },
);

Deno.test(
  { name: "startEmbeddedPostgres() works as a user without a name, or says why not", ignore },
  async () => {
    await using folder = await TestFolder.make();
    const clone = await cloneInto(folder.path);
    await ownFolder(join(clone, "home"), NAMELESS_UID, 0o755);
    const dataDir = folder.dataDir("clone/home");
    if (await canMask(NAMELESS_UID)) {
      await runTwice(dataDir, { clone, uid: NAMELESS_UID });
      strictEqual((await Deno.stat(join(dataDir, "cluster"))).uid, NAMELESS_UID);
    } else {
      await using owner = OwnerProcess.start(dataDir, { clone, uid: NAMELESS_UID });
      match((await owner.next("failed")).message, /cannot find name for user ID 12345/);
    }
    deepStrictEqual(await serversIn(folder.path), []);
  },
);

Deno.test(
  { name: "startEmbeddedPostgres() works as root in a home that is closed to others", ignore },
  async () => {
    await using folder = await TestFolder.make(0o700);
    const clone = await cloneInto(folder.path);
    await runTwice(folder.dataDir("clone/.data"), { clone });
    deepStrictEqual(await serversIn(folder.path), []);
  },
);

Deno.test({ name: "startEmbeddedPostgres() works as root in somebody's closed home", ignore }, async () => {
  await using folder = await TestFolder.make();
  const home = join(folder.path, "home");
  await ownFolder(home, NAMED_UID, 0o700);
  const clone = await cloneInto(home);
  const dataDir = folder.dataDir("home/.data");
  await runTwice(dataDir, { clone });
  for (const path of [dataDir, join(dataDir, "cluster"), join(dataDir, "owner.json")]) {
    strictEqual((await Deno.stat(path)).uid, NAMED_UID, `${path} is its owner's`);
  }
  deepStrictEqual(await serversIn(folder.path), []);
});

Deno.test(
  { name: "startEmbeddedPostgres() works as root where nobody else can be anything", ignore },
  async () => {
    await using folder = await TestFolder.make();
    const home = join(folder.path, "home");
    await ownFolder(home, NAMELESS_UID, 0o700); // its owner has no name, and nobody else may enter
    const clone = await cloneInto(home);
    const dataDir = folder.dataDir("home/.data");
    await using owner = OwnerProcess.start(dataDir, { clone });
    await owner.next("up");
    const told = owner.heard.flatMap((heard) => heard.is === "progress" ? [heard.line] : []);
    match(told.join("\n"), /the database lies in \/var\/tmp\/scroll-chat-postgres-/);
    await owner.kill();
    await runTwiceMore(dataDir, clone);
  },
);

/** After a kill, in its home elsewhere: the one row of the killed run is there, and its server is not. */
async function runTwiceMore(dataDir: string, clone: string): Promise<void> {
  const elsewhere = await Deno.readTextFile(join(dataDir, "cluster_home"));
  strictEqual((await serversIn(elsewhere)).length, 1);
  await using owner = OwnerProcess.start(dataDir, { clone });
  await owner.next("up");
  Deno.kill(owner.pid, "SIGTERM");
  strictEqual((await owner.next("answered")).rows, 2);
  await owner.next("stopped");
  deepStrictEqual(await serversIn(elsewhere), []);
}
