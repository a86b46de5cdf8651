/**
 * PgBouncer in transaction mode before a Postgres of the tests, as Debian's package brings it: few connections to the
 * server, shared by many clients, none of which may count on having the same one twice.
 */
import { join } from "node:path";
import { ensureCommand, findCommand } from "./debian.ts";
import { freePort, ordinary, ordinaryFolder, spawnOrdinary } from "./postgres15.ts";

const SERVER_CONNECTIONS = 6;
const ATTEMPTS = 5;

export interface PgBouncer extends AsyncDisposable {
  /** E.g. [1, 18, 0]. */
  readonly version: readonly number[];
  /** Since 1.21 it carries named prepared statements from one server connection to the next. */
  readonly hasPreparedStatements: boolean;
  /** The URL of the same database by way of it. */
  through(url: string): string;
}

/** Before the server of this URL, whatever the database. */
export async function startPgBouncer(server: string): Promise<PgBouncer> {
  await ensureCommand("pgbouncer", "pgbouncer");
  const program = await findCommand("pgbouncer") ?? "pgbouncer";
  const { stdout } = await new Deno.Command(program, { args: ["--version"] }).output();
  const version =
    /PgBouncer (\d+)\.(\d+)\.(\d+)/.exec(new TextDecoder().decode(stdout))?.slice(1).map(Number) ?? [];
  const [major = 0, minor = 0] = version;
  const hasPreparedStatements = major > 1 || minor >= 21;

  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await ordinaryFolder("scroll-chat-pgbouncer-"));
  const { username, password } = new URL(server);
  await writeOrdinary(join(folder.path, "users.txt"), `"${username}" "${decodeURIComponent(password)}"\n`);
  for (let attempt = 1;; attempt++) {
    const port = freePort();
    const path = join(folder.path, `pgbouncer-${port}.ini`);
    await writeOrdinary(path, settings(folder.path, server, port, hasPreparedStatements));
    const child = spawnOrdinary(program, ["--quiet", path]);
    if (await child.readyWhen(() => listens(port))) {
      parts.defer(() => child.stop("SIGTERM"));
      const owned = parts.move();
      return {
        version,
        hasPreparedStatements,
        through: (url) => Object.assign(new URL(url), { hostname: "127.0.0.1", port: String(port) }).href,
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    }
    if (attempt === ATTEMPTS) throw new Error(`${program} did not start: ${await child.said}`);
  }
}

function settings(folder: string, server: string, port: number, hasPreparedStatements: boolean): string {
  const { hostname, port: serverPort } = new URL(server);
  return [
    "[databases]",
    `* = host=${hostname} port=${serverPort}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = trust",
    `auth_file = ${join(folder, "users.txt")}`,
    "pool_mode = transaction",
    `default_pool_size = ${SERVER_CONNECTIONS}`,
    "max_client_conn = 500",
    "server_lifetime = 60",
    ...hasPreparedStatements ? ["max_prepared_statements = 200"] : [],
    "",
  ].join("\n");
}

async function writeOrdinary(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { mode: 0o600 });
  if (ordinary.is === "other") await Deno.chown(path, ordinary.uid, ordinary.gid);
}

async function listens(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
