/**
 * The test command: `deno task test [-- paths, words of test names, options of deno test]`.
 * It starts one embedded Postgres for all tests (TEST_DATABASE_URL, a superuser: tests make databases of their
 * own), runs `deno test`, and ends with a line that holds `N passed, N failed` and nothing else.
 * Own options: --ok (format, lint and types first), --parallel (two modules at a time).
 * Whatever happens, the server is stopped, the folder is removed, and a run that proves nothing fails.
 */
import { join, resolve } from "node:path";
import {
  EmbeddedPostgresInUse,
  startEmbeddedPostgres,
  stopLeftoverPostgres,
} from "../src/embedded/postgres.ts";
import { type Counts, readCounts, readSlowest } from "./helpers/test_report.ts";

const ROOT = join(import.meta.dirname ?? ".", "..");
const FOLDER_PREFIX = "scroll-chat-tests-";
/** A test that hangs must not hang whoever waits for the answer; what deno says of it is not progress. */
const SILENCE_LIMIT_MS = 5 * 60_000;
const HANGS = "has been running for over";
const STOP_LIMIT_MS = 10_000;
const SLOWEST = 10;

/** Nothing of this database outlives the run, so nothing needs to reach the disk. */
const FAST_SETTINGS = { fsync: "off", full_page_writes: "off", max_wal_size: "4GB", max_connections: "300" };

const utf8 = new TextEncoder();
const NEWLINE = 10;
let lastByte = NEWLINE;

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  using stop = stopSignals();
  const counts = options.ok && !await passesChecks(stop.signal)
    ? { passed: 0, failed: 1 }
    : await runTests(options, stop.signal);
  if (counts.passed + counts.failed === 0) await say("No test ran.");
  await say(`${counts.passed} passed, ${counts.failed} failed`);
  if (stop.signal.aborted) return 130;
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}

interface Options {
  ok: boolean;
  parallel: boolean;
  /** For deno test. */
  pass: string[];
}

function readOptions(args: string[]): Options {
  const options: Options = { ok: false, parallel: false, pass: [] };
  const paths: string[] = [];
  let isValue = false;
  for (const arg of args) {
    if (isValue) options.pass.push(arg);
    else if (arg === "--ok") options.ok = true;
    else if (arg === "--parallel") options.parallel = true;
    else if (arg.startsWith("-")) options.pass.push(...arg === "--" ? [] : [arg]);
    else if (isPath(arg)) paths.push(arg);
    else options.pass.push(`--filter=${arg}`);
    isValue = arg === "--filter";
  }
  options.pass.push(...paths.length > 0 ? paths : ["tests/"]);
  return options;
}

function isPath(word: string): boolean {
  try {
    return Boolean(Deno.statSync(resolve(ROOT, word)));
  } catch {
    return /\.tsx?$/.test(word); // a path with a slip in it should fail as a path
  }
}

async function passesChecks(signal: AbortSignal): Promise<boolean> {
  for (const check of [["fmt", "--check"], ["lint"], ["check"]]) {
    await say(`deno ${check.join(" ")}`);
    const { exitCode } = await runDeno(["--quiet", ...check], {}, signal);
    if (exitCode !== 0 || signal.aborted) return false;
  }
  return true;
}

async function runTests(options: Options, signal: AbortSignal): Promise<Counts> {
  await removeLeftovers();
  await using cleanup = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: FOLDER_PREFIX });
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.chmod(folder, 0o755); // Postgres may run as somebody else
  const database = cleanup.use(
    await startEmbeddedPostgres({
      dataDir: join(folder, "postgres"),
      database: "postgres",
      settings: FAST_SETTINGS,
    }),
  );
  if (signal.aborted) return { passed: 0, failed: 1 };
  const junit = join(folder, "junit.xml");
  const { output, exitCode } = await runDeno(
    [
      ...["test", "--quiet", "-A", "--no-prompt", "--sanitize-ops", "--sanitize-resources"],
      ...[`--junit-path=${junit}`, ...options.parallel ? ["--parallel"] : []],
      ...options.pass,
    ],
    { TEST_DATABASE_URL: database.url, DENO_JOBS: "2" },
    signal,
  );
  await saySlowest(await Deno.readTextFile(junit).catch(() => ""));
  return readCounts(output, exitCode);
}

/** Runs deno, shows what it says as it says it, and returns its stdout. */
async function runDeno(
  args: string[],
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<{ output: string; exitCode: number }> {
  const colour: Record<string, string> = Deno.stdout.isTerminal() && !Deno.noColor
    ? { FORCE_COLOR: "1" }
    : { NO_COLOR: "1" };
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { ...colour, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  using watch = new Watch(child, signal);
  let output = "";
  const decoder = new TextDecoder();
  await Promise.all([
    show(child.stdout, Deno.stdout, (bytes) => {
      const text = decoder.decode(bytes, { stream: true });
      if (!text.includes(HANGS)) watch.heard();
      output += text;
    }),
    show(child.stderr, Deno.stderr, () => watch.heard()),
  ]);
  return { output, exitCode: (await child.status).code };
}

/** Ends a child that was asked to stop or fell silent: politely, then for good. */
class Watch implements Disposable {
  readonly #child: Deno.ChildProcess;
  readonly #signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(child: Deno.ChildProcess, signal: AbortSignal) {
    this.#child = child;
    this.#signal = signal;
    signal.addEventListener("abort", this.#end);
    this.heard();
  }

  heard(): void {
    if (this.#signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#end, SILENCE_LIMIT_MS);
  }

  readonly #end = (): void => {
    clearTimeout(this.#timer);
    this.#kill("SIGTERM");
    this.#timer = setTimeout(() => this.#kill("SIGKILL"), STOP_LIMIT_MS);
  };

  #kill(name: Deno.Signal): void {
    try {
      this.#child.kill(name);
    } catch {
      // It has ended.
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#end);
  }
}

/** Aborts when we are asked to stop, by whom- and however often; we leave when all is cleaned up. */
function stopSignals(): Disposable & { signal: AbortSignal } {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  const names: Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const name of names) Deno.addSignalListener(name, stop);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => names.forEach((name) => Deno.removeSignalListener(name, stop)),
  };
}

/** Runs that were killed leave a folder and a server. Only what has no living owner is touched. */
async function removeLeftovers(): Promise<void> {
  const probe = await Deno.makeTempDir();
  await Deno.remove(probe);
  const temp = join(probe, "..");
  for await (const { name } of Deno.readDir(temp)) {
    if (!name.startsWith(FOLDER_PREFIX)) continue;
    const folder = join(temp, name);
    const made = (await Deno.stat(folder).catch(() => undefined))?.mtime?.getTime() ?? Date.now();
    if (Date.now() - made < 60_000) continue; // perhaps about to start
    try {
      await stopLeftoverPostgres(join(folder, "postgres"));
      await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (error instanceof EmbeddedPostgresInUse || error instanceof Deno.errors.PermissionDenied) continue;
      await say(`Cannot remove ${folder}, which an earlier run left behind: ${error}`);
    }
  }
}

/** A line of its own, also after a test that was cut off in the middle of one. */
async function say(line: string): Promise<void> {
  const start = lastByte === NEWLINE ? "" : "\n";
  await write(Deno.stdout, utf8.encode(`${start}${line}\n`));
}

async function show(
  from: ReadableStream<Uint8Array>,
  to: typeof Deno.stdout,
  heard: (bytes: Uint8Array) => void,
): Promise<void> {
  for await (const bytes of from) {
    heard(bytes);
    await write(to, bytes);
  }
}

async function say(line: string): Promise<void> {
  await write(Deno.stdout, utf8.encode(`${line}\n`));
}

/** A pipe may take less than it is given. */
async function write(to: typeof Deno.stdout, bytes: Uint8Array): Promise<void> {
  lastByte = bytes.at(-1) ?? lastByte;
  for (let done = 0; done < bytes.length;) done += await to.write(bytes.subarray(done));
}

Deno.exit(await main(Deno.args));
