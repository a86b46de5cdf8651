/** The files of a running cluster as the beginning of a standby, which asks for what it lacks by a slot of its own. */
import { join } from "node:path";
import postgres from "postgres";
import { copyTree, ownTree } from "../../src/embedded/folders.ts";

export interface BackupAsk {
  /** Of the primary, as a superuser. */
  url: string;
  slot: string;
  from: string;
  to: string;
  owner: { uid: number; gid: number } | undefined;
}

/** Comes by the slot, or belongs to the running server alone. */
const LEFT_OUT = new Set(["postmaster.pid", "postmaster.opts", "pg_wal", "pg_replslot", "pg_stat_tmp"]);

export async function copyCluster({ url, slot, from, to, owner }: BackupAsk): Promise<void> {
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => {} });
  try {
    await sql`select pg_create_physical_replication_slot(${slot}, true)`;
    await sql`select pg_backup_start('standby', true)`;
    await copyTree(from, to, (name) => LEFT_OUT.has(name));
    const [stop] = await sql<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`;
    for (const folder of ["pg_wal", "pg_replslot", "pg_stat_tmp"]) await Deno.mkdir(join(to, folder));
    await Deno.writeTextFile(join(to, "backup_label"), stop?.labelfile ?? "");
    await Deno.writeTextFile(join(to, "standby.signal"), "");
    if (owner !== undefined) await ownTree(to, owner.uid, owner.gid);
    await Deno.chmod(to, 0o700);
  } finally {
    await sql.end({ timeout: 2 });
  }
}
