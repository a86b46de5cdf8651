/**
 * The cluster: the folder that Postgres calls its data directory. It is made beside its place and moved there
 * when it is whole, so a folder with this name is never half made. The superuser's password is made with it
 * and lies in it, as closed to others as the rest.
 */
import { basename, join } from "node:path";
import { commandAs, ownerOf } from "./account.ts";
import { programPath } from "./binaries.ts";
import { exists, ownTree } from "./folders.ts";
import { clusterFolder, type Placement } from "./placement.ts";

export const SUPERUSER = "postgres";
const PASSWORD_FILE = "superuser_password";

export interface Cluster {
  readonly folder: string;
  readonly password: string;
}

/** Opens the cluster of this home, or makes one. The caller holds the owner lock. */
export async function openCluster(
  placement: Placement,
  options: { durable: boolean; progress: (line: string) => void },
): Promise<Cluster> {
  const folder = clusterFolder(placement.home);
  if (!await hasCluster(folder)) {
    options.progress("Creating the database cluster (first start)…");
    await removeUnfinished(placement.home);
    await makeCluster(placement, folder, options.durable);
  }
  await checkVersion(placement, folder);
  await checkOwner(placement, folder);
  return { folder, password: await Deno.readTextFile(join(folder, PASSWORD_FILE)) };
}

async function hasCluster(folder: string): Promise<boolean> {
  if (await exists(join(folder, "PG_VERSION"))) return true;
  if (!await exists(folder)) return false;
  for await (const _ of Deno.readDir(folder)) {
    throw new Error(`${folder} is not empty and no PostgreSQL cluster. Move it away, then start again.`);
  }
  await Deno.remove(folder);
  return false;
}

/** What starts that were killed have left. */
async function removeUnfinished(home: string): Promise<void> {
  for await (const entry of Deno.readDir(home)) {
    if (entry.name.startsWith("cluster.new.")) {
      await Deno.remove(join(home, entry.name), { recursive: true });
    }
  }
}

async function makeCluster(placement: Placement, folder: string, durable: boolean): Promise<void> {
  const work = `${folder}.new.${crypto.randomUUID()}`;
  const [unfinished, passwordFile] = [join(work, "data"), join(work, "password")];
  await Deno.mkdir(unfinished, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(passwordFile, randomPassword(), { mode: 0o600 });
  const owner = ownerOf(placement.account);
  if (owner !== undefined) await ownTree(work, owner.uid, owner.gid);
  const { success, stdout, stderr } = await commandAs(
    placement.account,
    programPath(placement.binaries, "initdb"),
    [
      `--pgdata=${unfinished}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      ...["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"],
      ...["--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
      ...(durable ? [] : ["--no-sync"]),
    ],
    { stdin: "null", stdout: "piped", stderr: "piped", detached: true },
  ).spawn().output();
  if (!success) {
    await Deno.remove(work, { recursive: true });
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    throw new Error(`PostgreSQL could not create the cluster ${folder}. It said:\n${lastLines(said)}`);
  }
  await Deno.rename(passwordFile, join(unfinished, PASSWORD_FILE));
  await Deno.rename(unfinished, folder);
  await Deno.remove(work);
}

/** No character of it needs an escape in a URL. */
function randomPassword(): string {
  return crypto.getRandomValues(new Uint8Array(24)).toHex();
}

async function checkVersion(placement: Placement, folder: string): Promise<void> {
  const found = Number(await Deno.readTextFile(join(folder, "PG_VERSION")));
  if (found === placement.majorVersion) return;
  throw new Error(
    `The database in ${folder} was made by PostgreSQL ${found}, and this is PostgreSQL ` +
      `${placement.majorVersion}, which cannot read it. Dump it with PostgreSQL ${found} and load the dump ` +
      `into a new one, or move ${basename(folder)} away to start with an empty database.`,
  );
}

/** Postgres wants to own its folder. Root may have run it under another account before, and can mend it. */
async function checkOwner(placement: Placement, folder: string): Promise<void> {
  const found = await Deno.stat(folder);
  const owner = ownerOf(placement.account);
  if (owner === undefined && found.uid !== Deno.uid()) {
    throw new Error(`${folder} belongs to another user (id ${found.uid}). Run as that user.`);
  }
  if (owner !== undefined && found.uid !== owner.uid) await ownTree(folder, owner.uid, owner.gid);
}

/** The end of a log, which is where the reason stands. */
export function lastLines(text: string, count = 15): string {
  return text.trimEnd().split("\n").slice(-count).join("\n") || "(nothing)";
}
