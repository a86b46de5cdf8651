/**
 * The primary's life: a standby that was promoted may lack what the primary before it had acknowledged, and gives those seqs
 * away again. Where nodes find it by themselves, since it answers at the same address, this begins another epoch
 * within seconds; then every position from before is void. (Where an operator leads nodes to it: deno task new-epoch.)
 */
import { describeFault, type Log } from "../log.ts";
import type { Database } from "./database.ts";

interface Life {
  epoch: string;
  /** Of the log, one more with each promotion; null of a standby that is not promoted yet. */
  timeline: string | null;
}

export class PrimaryLife {
  readonly #db: Database;
  readonly #log: Log;
  #known: Life | undefined;

  constructor(uses: { db: Database; log: Log }) {
    this.#db = uses.db;
    this.#log = uses.log;
  }

  /** Remembers it at first, and compares from then on. */
  async look(): Promise<void> {
    const known = this.#known;
    const now = await this.#read().catch((fault) => {
      this.#log.debug("primary.look_failed", describeFault(fault)); // out of reach, or not a Postgres that says
    });
    if (now === undefined || now.timeline === null) return;
    this.#known = now;
    if (known === undefined || known.epoch !== now.epoch || known.timeline === now.timeline) return;
    const begun = await beginEpoch(this.#db, now.epoch);
    this.#log.error("primary.promoted", {
      text: "Another server takes writes than before: positions of clients are void, what it lacked is lost",
      isFirst: begun,
    });
  }

  async #read(): Promise<Life | undefined> {
    const [life] = await this.#db.read<{ epoch: string; timeline: string | null }>((sql) =>
      sql`select epoch, case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline
        from server_state`
    );
    return life;
  }
}

/** False if another node was first. */
async function beginEpoch(db: Database, after: string): Promise<boolean> {
  const rows = await db.read((sql) =>
    sql`update server_state set epoch = gen_random_uuid()::text where epoch = ${after} returning epoch`
  );
  return rows.length > 0;
}
