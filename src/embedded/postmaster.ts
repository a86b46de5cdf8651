/**
 * The running server. It is a child in a session of its own: Ctrl-C in the terminal reaches us and not it, so
 * that it ends when we have finished with it and not before. It writes its own log file, not a pipe of ours,
 * so that it neither blocks nor fails should we die.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { commandAs, ownerOf } from "./account.ts";
import { programPath } from "./binaries.ts";
import { type Cluster, lastLines } from "./cluster.ts";
import { clearLeftovers } from "./leftovers.ts";
import type { Placement } from "./placement.ts";

/** Recovery after a crash may take long; nothing else does. */
const START_LIMIT_MS = 180_000;
const ATTEMPTS = 12;
const RETRY_MS = 250;
const LOG_LIMIT_BYTES = 4 * 1024 * 1024;

/** Reasons in the log that pass by themselves: a port taken since we looked, remains of a killed server. */
const PASSING = [
  /Address already in use/,
  /pre-existing shared memory block .* is still in use/,
  /lock file "postmaster.pid" already exists/,
];

export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** Settles when the server has ended, for whatever reason. */
  readonly ended: Promise<Deno.CommandStatus>;
  /** Fast shutdown; returns when the server is gone. */
  stop(): Promise<void>;
}

export interface PostmasterOptions {
  placement: Placement;
  cluster: Cluster;
  settings: Record<string, string>;
  progress: (line: string) => void;
}

/** Starts the server and waits until it takes connections. */
export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster> {
  const log = await openLog(options.placement);
  for (let attempt = 1;; attempt++) {
    await clearLeftovers(options.cluster.folder, options.progress);
    const offset = (await Deno.stat(log)).size;
    const postmaster = launch(options, log, freePort());
    const failure = await waitUntilReady(postmaster, options);
    if (failure === undefined) return postmaster;
    const said = await readFrom(log, offset);
    if (attempt === ATTEMPTS || !PASSING.some((reason) => reason.test(said))) {
      throw new Error(`PostgreSQL ${failure}. The end of its log (${log}):\n${lastLines(said)}`);
    }
    await sleep(RETRY_MS);
  }
}

function launch({ placement, cluster, settings }: PostmasterOptions, log: string, port: number): Postmaster {
  const fixed = { listen_addresses: "127.0.0.1", port: String(port), unix_socket_directories: "" };
  const flags = Object.entries({ ...settings, ...fixed }).flatMap((
    [name, value],
  ) => ["-c", `${name}=${value}`]);
  const program = [programPath(placement.binaries, "postgres"), "-D", cluster.folder, ...flags];
  const child = commandAs(placement.account, "sh", ["-c", 'exec "$@" >>"$0" 2>&1', log, ...program], {
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: true,
  }).spawn();
  const stop = async (): Promise<void> => {
    for (const [name, withinMs] of [["SIGINT", 20_000], ["SIGQUIT", 5_000], ["SIGKILL", 60_000]] as const) {
      if (!send(child, name) || await endsWithin(child.status, withinMs)) break;
    }
    await child.status;
  };
  return { pid: child.pid, port, ended: child.status, stop };
}

/** By handle, not by pid, which may be another's once the child has ended. */
function send(child: Deno.ChildProcess, name: Deno.Signal): boolean {
  try {
    child.kill(name);
    return true;
  } catch (error) {
    if (error instanceof TypeError || error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Nothing when it is ready, else what went wrong; then it runs no more. */
async function waitUntilReady(
  postmaster: Postmaster,
  options: PostmasterOptions,
): Promise<string | undefined> {
  const started = performance.now();
  let patient = false;
  while (performance.now() - started < START_LIMIT_MS) {
    if (await isReady(options.cluster.folder, postmaster.pid)) return undefined;
    const status = await Promise.race([postmaster.ended, sleep(10, undefined)]);
    if (status !== undefined) return `could not start (exit code ${status.code})`;
    if (!patient && performance.now() - started > 3_000) {
      patient = true;
      options.progress("Waiting for PostgreSQL, which is recovering from a crash…");
    }
  }
  await postmaster.stop();
  return `was not ready within ${START_LIMIT_MS / 1000} s`;
}

/** As pg_ctl does: the eighth line of the pid file tells. */
async function isReady(cluster: string, pid: number): Promise<boolean> {
  const text = await Deno.readTextFile(join(cluster, "postmaster.pid")).catch(() => "");
  const lines = text.split("\n");
  return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
}

async function endsWithin(ended: Promise<unknown>, withinMs: number): Promise<boolean> {
  using timer = deadline(withinMs);
  return await Promise.race([ended.then(() => true), timer.passed]);
}

function deadline(ms: number): Disposable & { passed: Promise<false> } {
  const { promise, resolve } = Promise.withResolvers<false>();
  const id = setTimeout(() => resolve(false), ms);
  return { passed: promise, [Symbol.dispose]: () => clearTimeout(id) };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** The log of this start and of some before it. */
async function openLog(placement: Placement): Promise<string> {
  const path = join(placement.home, "postgres.log");
  const size = (await Deno.stat(path).catch(() => undefined))?.size ?? 0;
  if (size > LOG_LIMIT_BYTES) await Deno.rename(path, `${path}.1`);
  await Deno.writeTextFile(path, "", { append: true, mode: 0o600 });
  const owner = ownerOf(placement.account);
  if (owner !== undefined) await Deno.chown(path, owner.uid, owner.gid);
  return path;
}

async function readFrom(path: string, offset: number): Promise<string> {
  using file = await Deno.open(path);
  await file.seek(offset, Deno.SeekMode.Start);
  return await new Response(file.readable).text();
}
