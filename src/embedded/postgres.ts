/**
 * The developer's default database: a real PostgreSQL, started as a child of ours, that needs nothing installed
 * and listens on this machine only. One live process owns a data folder at a time; what it started has ended
 * when stop() returns, and what a killed owner left running the next owner stops.
 * Who else may use the database is not decided here: production has a Postgres of its own.
 */
import postgres from "postgres";
import { findBinaries } from "./binaries.ts";
import { openCluster, SUPERUSER } from "./cluster.ts";
import { exists, makeFolder } from "./folders.ts";
import { clearLeftovers } from "./leftovers.ts";
import { OwnerLock } from "./owner_lock.ts";
import { choosePlacement, clusterFolder, homeOf } from "./placement.ts";
import { type Postmaster, startPostmaster } from "./postmaster.ts";
import { removeState, writeState } from "./state_file.ts";

export { EmbeddedPostgresInUse } from "./owner_lock.ts";
export { type EmbeddedPostgresState, findEmbeddedPostgres } from "./state_file.ts";

export interface EmbeddedPostgres extends AsyncDisposable {
  /** postgres://… of the database that options.database names. Its user is a superuser. */
  readonly url: string;
  /** Fast shutdown; returns when the server has exited. May be called again. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Folder that holds the cluster, made if missing. */
  dataDir: string;
  /** Made if missing. Letters, digits, _ and -. */
  database: string;
  /** More settings of postgresql.conf, e.g. {fsync: "off"} for tests. */
  settings?: Record<string, string>;
  /** Hears what takes long, and of a server that ended by itself. */
  onProgress?: (line: string) => void;
}

/** Clients do not agree on escapes in the path of a URL, so no name may need one; Postgres cuts off at 63. */
const DATABASE_NAME = /^[\w-]{1,63}$/;

const DEFAULT_SETTINGS = { max_connections: "200", timezone: "UTC", log_timezone: "UTC" };

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  if (!DATABASE_NAME.test(options.database)) {
    throw new TypeError(`"${options.database}" is no name for a database: 1 to 63 letters, digits, _ or -`);
  }
  const progress = options.onProgress ?? (() => {});
  const settings: Record<string, string> = { ...DEFAULT_SETTINGS, ...options.settings };
  await makeFolder(options.dataDir);
  const dataDir = await Deno.realPath(options.dataDir);

  await using started = new AsyncDisposableStack(); // a failed start leaves nothing behind
  started.use(await OwnerLock.take(dataDir));
  const placement = await choosePlacement(dataDir, await findBinaries(), progress);
  const cluster = await openCluster(placement, { durable: settings["fsync"] !== "off", progress });
  const postmaster = await startPostmaster({ placement, cluster, settings, progress });
  started.defer(() => postmaster.stop());

  const urlOf = (database: string): string =>
    `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${postmaster.port}/${database}`;
  await makeDatabase(urlOf("postgres"), options.database);
  const url = urlOf(options.database);
  started.defer(() => removeState(dataDir));
  await writeState(dataDir, { pid: postmaster.pid, port: postmaster.port, url });
  return owned(url, postmaster, started.move(), progress);
}

/** Ends the server that a killed owner left on this data folder. Throws EmbeddedPostgresInUse if one lives. */
export async function stopLeftoverPostgres(dataDir: string): Promise<void> {
  if (!await exists(dataDir)) return;
  using _lock = await OwnerLock.take(dataDir);
  await clearLeftovers(clusterFolder(await Deno.realPath(await homeOf(dataDir))), () => {});
}

function owned(
  url: string,
  postmaster: Postmaster,
  parts: AsyncDisposableStack,
  progress: (line: string) => void,
): EmbeddedPostgres {
  let stopping: Promise<void> | undefined;
  postmaster.ended.then(({ code, signal }) => {
    if (stopping === undefined) progress(`PostgreSQL ended by itself (${signal ?? `exit code ${code}`}).`);
  });
  const stop = (): Promise<void> => stopping ??= parts.disposeAsync();
  return { url, stop, [Symbol.asyncDispose]: stop };
}

async function makeDatabase(url: string, name: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    const [found] = await sql`select 1 from pg_database where datname = ${name}`;
    if (found === undefined) await sql`create database ${sql(name)}`;
  } finally {
    await sql.end();
  }
}
