/**
 * main: reads the environment, starts the app, waits for SIGTERM or SIGINT, drains, and leaves by emptying the event
 * loop. `main.ts start | dev | migrate | new-epoch`; dev brings its own Postgres.
 */
import { type Config, readConfig } from "./src/config.ts";
import { type App, type AppUses, startApp } from "./src/app.ts";
import { banner } from "./src/banner.ts";
import { createTokenMaker } from "./src/chat/dev_tokens.ts";
import { ChatError } from "./src/protocol/errors.ts";
import { createLog, type Log } from "./src/log.ts";
import { watchProcessFaults } from "./src/process_faults.ts";
import { migrate, requireMigrated } from "./src/store/migrate.ts";
import { Database, faultCode, isUnreachable } from "./src/store/database.ts";
import { renewEpoch } from "./src/store/rooms.ts";

/** After the drain, for closing; a peer that does not read would hold its socket for half a minute. */
const LEAVE_MS = 1_500;
/** For the event loop to run empty by itself. */
const EMPTY_MS = 200;
const MIGRATIONS = new URL("./migrations/", import.meta.url);

async function start(config: Config, uses: AppUses): Promise<void> {
  const { log } = uses;
  if (config.bus.is === "memory") {
    log.warn("bus.alone", {
      text:
        "No REDIS_URL and no UPSTASH_REDIS_REST_URL: this node runs alone, sockets of other nodes are not reached",
    });
  }
  if (config.chat.encryption) {
    log.warn("direct_messages.unencrypted", {
      text: "Direct messages are stored unencrypted: encryption is not built yet",
    });
  }
  await requireMigrated(config.database, MIGRATIONS);
  await using app = await startApp(config, uses);
  log.info("server.listening", listeningAt(app, config));
  await untilSignal(config, log);
}

function listeningAt({ port, metricsPort }: App, { mode, node }: Config): Record<string, unknown> {
  return { port, ...(metricsPort === undefined ? {} : { metricsPort }), mode, region: node.region };
}

/** The runtime keeps the idle timers of sockets that were closed while frames of theirs were on the way. */
function leaveSoon(): void {
  Deno.unrefTimer(setTimeout(() => Deno.exit(0), EMPTY_MS));
}

async function untilSignal(config: Config, log: Log): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const signals = ["SIGTERM", "SIGINT"] as const;
  const handlers = signals.map((signal) => ({ signal, handle: () => resolve(signal) }));
  for (const { signal, handle } of handlers) Deno.addSignalListener(signal, handle);
  log.info("server.draining", { signal: await promise });
  Deno.unrefTimer(setTimeout(() => Deno.exit(0), config.http.drainMs + LEAVE_MS));
  // a second signal ends the process as usual
  for (const { signal, handle } of handlers) Deno.removeSignalListener(signal, handle);
}

async function newEpoch(config: Config, log: Log): Promise<void> {
  await using db = new Database(config.database, log);
  log.info("epoch.renewed", { epoch: await renewEpoch(db) });
}

const SAMPLE_USERS = [{ sub: "ada", name: "Ada" }, { sub: "grace", name: "Grace" }];

async function develop(): Promise<void> {
  const say = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  const { prepareDevelopment } = await import("./src/embedded/development.ts");
  const dataDir = Deno.env.get("SCROLL_DATA_DIR") ?? ".data";
  await using development = await prepareDevelopment({
    dataDir,
    databaseUrl: Deno.env.get("DATABASE_URL"),
    onProgress: say,
  });
  const config = readConfig("development", { ...development, filesDir: `${dataDir}/files` });
  const log = createLog(config.logLevel);
  const faults = watchProcessFaults(log);
  await migrate(config.database, MIGRATIONS, log);
  await using app = await startApp(config, { log, faults });
  const makeToken = createTokenMaker(config.jwt);
  if (makeToken !== undefined) {
    const users = await Promise.all(
      SAMPLE_USERS.map(async (user) => ({ name: user.name, token: await makeToken(user) })),
    );
    const unscanned = config.files.scanning.is === "off";
    say(banner({ port: app.port, seconds: performance.now() / 1000, unscanned, users }));
  }
  log.info("server.listening", listeningAt(app, config));
  await untilSignal(config, log);
}

async function main(verb: string): Promise<void> {
  if (verb === "dev") return await develop();
  const config = readConfig("production");
  const log = createLog(config.logLevel);
  const faults = watchProcessFaults(log);
  if (verb === "start") return await start(config, { log, faults });
  if (verb === "migrate") return void await migrate(config.database, MIGRATIONS, log);
  if (verb === "new-epoch") return await newEpoch(config, log);
  throw new TypeError(`Expected start, dev, migrate or new-epoch, not ${verb}`);
}

/** What the system says of an address that nothing can listen at. */
const NOT_HERE =
  /^(failed to lookup address|Cannot assign requested address|Can't assign requested address)/i;

/** One line where the cause is outside; with the stack where it is ours. */
function explain(fault: unknown): string {
  if (fault instanceof Deno.errors.AddrInUse) {
    const [port, metrics] = [Deno.env.get("PORT") ?? "3001", Deno.env.get("METRICS_PORT")];
    return metrics === undefined
      ? `The port ${port} is taken: choose another with PORT`
      : `A port of these is taken: ${port} (PORT), ${metrics} (METRICS_PORT)`;
  }
  if (fault instanceof Deno.errors.NotCapable && Deno.env.get("FILES_DIR") !== undefined) {
    return `FILES_DIR: ${fault.message}. \`deno task start\` may write to .data/files alone`;
  }
  if (fault instanceof TypeError || fault instanceof ChatError) return fault.message;
  if (fault instanceof Error && fault.name === "EmbeddedPostgresInUse") return fault.message;
  if (isUnreachable(fault)) return `The database cannot be reached: ${faultCode(fault)}`;
  if (fault instanceof Error && Deno.env.has("HOST") && NOT_HERE.test(fault.message)) {
    return `HOST must be an address of this machine: ${fault.message}`;
  }
  return Deno.inspect(fault);
}

if (import.meta.main) {
  try {
    await main(Deno.args[0] ?? "start");
    leaveSoon();
  } catch (fault) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${explain(fault)}\n`));
    Deno.exitCode = 1;
  }
}
