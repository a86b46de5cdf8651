/**
 * Where the cluster lies, which copy of the programs runs it, and as whom: the first combination that is
 * found to work by trying. Order: in place as an account; in place, masked; with the programs copied; and, for
 * root in a clone that nobody else can reach, in a folder of its own under /var/tmp, which the data folder
 * names. Nothing here changes the rights of folders that were there before.
 */
import { join } from "node:path";
import { type Account, candidateAccounts, commandAs } from "./account.ts";
import { type Binaries, copyBinaries, linkLibraries, programPath } from "./binaries.ts";
import { exists, isRoot } from "./folders.ts";

const SHARED_TEMP = "/var/tmp";

/** Goes into the home, as somebody with a name, for initdb wants that. */
const ENTER = `cd "$0" && id -un >/dev/null`;

export interface Placement {
  /** Holds the cluster and its log; the data folder itself, or one that it names. */
  readonly home: string;
  readonly binaries: Binaries;
  readonly account: Account;
  /** Of the programs, e.g. 18. */
  readonly majorVersion: number;
}

type Progress = (line: string) => void;

/** Where a home keeps its cluster. */
export function clusterFolder(home: string): string {
  return join(home, "cluster");
}

export async function choosePlacement(
  dataDir: string,
  packaged: Binaries,
  progress: Progress,
): Promise<Placement> {
  const refusals: string[] = [];
  const named = await namedHome(dataDir);
  const linked = await linkLibraries(packaged);
  const placement = await placeIn(named ?? dataDir, packaged, linked, refusals);
  if (placement !== undefined) return placement;
  // Never away from a cluster that is there already: it would look like lost data.
  if (isRoot() && named === undefined && !await exists(clusterFolder(dataDir))) {
    const home = await makeSharedHome();
    const placement = await placeIn(home, packaged, linked, refusals);
    if (placement !== undefined) {
      await Deno.writeTextFile(homeFile(dataDir), home, { mode: 0o600 });
      progress(`Only root can reach ${dataDir}, and PostgreSQL refuses root: the database lies in ${home}.`);
      return placement;
    }
    await Deno.remove(home, { recursive: true });
  }
  throw new Error(
    `The embedded PostgreSQL cannot run here:\n${[...new Set(refusals)].join("\n")}\n` +
      "Run as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.",
  );
}

async function placeIn(
  home: string,
  packaged: Binaries,
  linked: boolean,
  refusals: string[],
): Promise<Placement | undefined> {
  const accounts = await candidateAccounts(home);
  const tried = linked ? await firstThatWorks(home, packaged, accounts, refusals) : undefined;
  if (tried !== undefined) return tried;
  // A copy helps only an account that can enter the home at all: do not copy 50 MB for nothing.
  for (const account of accounts) {
    if (!await canEnter(home, account, refusals)) continue;
    const copied = await copyBinaries(packaged, home).catch((error: Error) =>
      void refusals.push(error.message)
    );
    return copied && await firstThatWorks(home, copied, [account], refusals);
  }
  return undefined;
}

async function firstThatWorks(
  home: string,
  binaries: Binaries,
  accounts: Account[],
  refusals: string[],
): Promise<Placement | undefined> {
  for (const account of accounts) {
    const version = await askVersion(home, binaries, account, refusals);
    if (version !== undefined) return { home, binaries, account, majorVersion: version };
  }
  return undefined;
}

async function askVersion(
  home: string,
  binaries: Binaries,
  account: Account,
  refusals: string[],
): Promise<number | undefined> {
  const programs = [programPath(binaries, "initdb"), programPath(binaries, "postgres")];
  const script = `${ENTER} && "$1" --version && exec "$2" --version`;
  const shown = await attempt(account, script, [home, ...programs], refusals);
  const major = shown === undefined ? undefined : /\(PostgreSQL\) (\d+)/.exec(shown)?.[1];
  return major === undefined ? undefined : Number(major);
}

async function canEnter(home: string, account: Account, refusals: string[]): Promise<boolean> {
  return await attempt(account, ENTER, [home], refusals) !== undefined;
}

/** What the shell script printed, or nothing and a line more of refusals. */
async function attempt(
  account: Account,
  script: string,
  args: string[],
  refusals: string[],
): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await commandAs(account, "sh", ["-c", script, ...args], {
      stdin: "null",
    }).output();
    if (success) return new TextDecoder().decode(stdout);
    refusals.push(`  as ${nameOf(account)}: ${new TextDecoder().decode(stderr).trim()}`);
  } catch (error) {
    // No such program, or a sandbox in which we may not become somebody else.
    refusals.push(`  as ${nameOf(account)}: ${error instanceof Error ? error.message : error}`);
  }
  return undefined;
}

function nameOf(account: Account): string {
  if (account.is === "other") return `user id ${account.uid}`;
  return account.is === "self" ? `user id ${Deno.uid()}` : "nobody in a user namespace";
}

function homeFile(dataDir: string): string {
  return join(dataDir, "cluster_home");
}

/** A home elsewhere that an earlier start has chosen. Gone with a cleaned /var/tmp: choose anew. */
async function namedHome(dataDir: string): Promise<string | undefined> {
  const home = await Deno.readTextFile(homeFile(dataDir)).catch(() => undefined);
  return home !== undefined && await exists(home) ? home : undefined;
}

/** Where the cluster of this data folder lies, if there is one. */
export async function homeOf(dataDir: string): Promise<string> {
  return await namedHome(dataDir) ?? dataDir;
}

async function makeSharedHome(): Promise<string> {
  const home = await Deno.makeTempDir({ dir: SHARED_TEMP, prefix: "scroll-chat-postgres-" });
  await Deno.chmod(home, 0o711);
  return await Deno.realPath(home);
}
