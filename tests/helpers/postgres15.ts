/**
 * PostgreSQL 15, the oldest that we support, as Debian's package brings it: a server of its own in a temporary
 * folder, on a free port of this machine, gone with its folder when it is disposed.
 */
import { dirname, join } from "node:path";
import { type Account, commandAs } from "../../src/embedded/account.ts";
import { ensureCommand, findCommand } from "./debian.ts";

const MAJOR = 15;
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
const ATTEMPTS = 5;

export interface TestServer extends AsyncDisposable {
  /** Its user is a superuser. */
  readonly url: string;
}

/** Postgres and PgBouncer refuse root. */
export const ordinary: Account = Deno.uid() === 0 ? { is: "other", uid: 65534, gid: 65534 } : { is: "self" };

/** A folder that belongs to the ordinary account and goes when it is disposed. */
export async function ordinaryFolder(prefix: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix });
  if (ordinary.is === "other") await Deno.chown(path, ordinary.uid, ordinary.gid);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

export async function startPostgres15(): Promise<TestServer> {
  await ensureCommand("initdb", `postgresql-${MAJOR}`);
  const programs = dirname(await findCommand("initdb") ?? "");
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await ordinaryFolder("scroll-chat-postgres15-"));
  const data = join(folder.path, "data");
  await run(join(programs, "initdb"), [
    ...["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
  ]);
  const version = (await Deno.readTextFile(join(data, "PG_VERSION"))).trim();
  if (Number(version) !== MAJOR) {
    throw new Error(`Expected PostgreSQL ${MAJOR}, found ${version} in ${programs}`);
  }
  const { port, stop } = await start(join(programs, "postgres"), data);
  parts.defer(stop);
  const owned = parts.move();
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await commandAs(ordinary, program, args, { stdin: "null", stdout: "null" })
    .output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
}

/** Somebody may take the port between our look and its start: another one, then. */
async function start(program: string, data: string): Promise<{ port: number; stop: () => Promise<void> }> {
  const settings = {
    fsync: "off",
    full_page_writes: "off",
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  for (let attempt = 1;; attempt++) {
    const port = freePort();
    const child = spawnOrdinary(program, ["-D", data, "-c", `port=${port}`, ...flags]);
    const isReady = async () => {
      const file = await Deno.readTextFile(join(data, "postmaster.pid")).catch(() => "");
      return Number(file.split("\n")[0]) === child.pid && file.split("\n")[7]?.trim() === "ready";
    };
    if (await child.readyWhen(isReady)) return { port, stop: () => child.stop("SIGINT") };
    if (attempt === ATTEMPTS) throw new Error(`${program} did not start: ${await child.said}`);
  }
}

export interface OrdinaryProcess {
  readonly pid: number;
  /** All that it wrote to stderr, once it has ended. */
  readonly said: Promise<string>;
  /** False when it has ended before that. */
  readyWhen(isReady: () => Promise<boolean>): Promise<boolean>;
  stop(signal: Deno.Signal): Promise<void>;
}

/** A server as the ordinary account, away from our terminal's Ctrl-C. */
export function spawnOrdinary(program: string, args: string[]): OrdinaryProcess {
  const child = commandAs(ordinary, program, args, {
    ...{ stdin: "null", stdout: "null", stderr: "piped", detached: true },
  }).spawn();
  const said = new Response(child.stderr).text();
  let ended = false;
  const status = child.status.then(() => void (ended = true));
  const kill = (signal: Deno.Signal) => ended || child.kill(signal);
  return {
    pid: child.pid,
    said,
    readyWhen: async (isReady) => {
      const until = performance.now() + START_LIMIT_MS;
      while (!ended && performance.now() < until) {
        if (await isReady()) return true;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      kill("SIGKILL");
      await said;
      return false;
    },
    stop: async (signal) => {
      kill(signal);
      const axe = setTimeout(() => kill("SIGKILL"), STOP_LIMIT_MS);
      await Promise.all([status, said]);
      clearTimeout(axe);
    },
  };
}
