/**
 * What an earlier run left in the cluster: a server that outlived a killed owner, or the pid file of one that
 * is gone. The caller holds the owner lock, so whatever still runs here has no owner and is stopped.
 * The pid file is never removed while it names a shared memory block: that line keeps Postgres from starting
 * beside backends that outlived their postmaster.
 */
import { join } from "node:path";
import { EmbeddedPostgresInUse } from "./owner_lock.ts";
import { findProcess, type ProcessFacts, signal, waitForEnd } from "./processes.ts";

/** Fast shutdown, then the immediate one, which leaves recovery to the next start, then the axe. */
const SHUTDOWN: [Deno.Signal, number][] = [["SIGINT", 20_000], ["SIGQUIT", 5_000], ["SIGKILL", 10_000]];

/** Ends a server that nobody owns and clears the way for the next one. */
export async function clearLeftovers(cluster: string, progress: (line: string) => void): Promise<void> {
  const pidFile = join(cluster, "postmaster.pid");
  const text = await Deno.readTextFile(pidFile).catch(() => undefined);
  if (text === undefined) return;
  const pid = Number.parseInt(text);
  if (!(pid > 0)) return await Deno.remove(pidFile); // cut short by a crash: Postgres would refuse to start
  const facts = await findProcess(pid);
  if (facts === undefined) return; // Postgres itself sees that it is stale
  if (isPostgresOn(facts, cluster)) {
    progress(`Stopping a PostgreSQL that an earlier run left behind (process ${pid})…`);
    await endProcess(facts, cluster);
  } else {
    // A stranger has the pid now, for which Postgres would take the file as live. It ignores our own pid,
    // being that of its parent.
    await Deno.writeTextFile(pidFile, text.replace(/^\d+/, String(Deno.pid)), { create: false });
  }
}

function isPostgresOn(facts: ProcessFacts, cluster: string): boolean {
  // The folder is decisive where we may see it; a command line only counts as a whole word.
  if (!facts.command.includes("postgres")) return false;
  return facts.folder === cluster || `${facts.command} `.includes(` ${cluster} `);
}

async function endProcess(facts: ProcessFacts, cluster: string): Promise<void> {
  for (const [name, withinMs] of SHUTDOWN) {
    try {
      signal(facts.pid, name);
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied) throw new EmbeddedPostgresInUse(cluster, facts.pid);
      throw error;
    }
    if (await waitForEnd(facts, withinMs)) return;
  }
  throw new EmbeddedPostgresInUse(cluster, facts.pid);
}
