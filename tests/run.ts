/**
 * The test command: `deno task test [-- paths, words of test names, options of deno test]`.
 * It starts one embedded Postgres for all tests (TEST_DATABASE_URL, a superuser: tests make databases of their
 * own), runs `deno test`, and ends with a line that holds `N passed, N failed` and nothing else.
 * Own options: --ok (format, lint and types first), --serial (one module at a time). Without paths it runs everything, three
 * modules at a time, and then those that measure time or memory, or fill the machine, one after the other.
 * Whatever happens, the server is stopped, the folder is removed, and a run that proves nothing fails.
 */
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  EmbeddedPostgresInUse,
  startEmbeddedPostgres,
  stopLeftoverPostgres,
} from "../src/embedded/postgres.ts";
import { runDeno } from "./helpers/deno_child.ts";
import { say } from "./helpers/terminal.ts";
import { type Counts, readCounts, readSlowest } from "./helpers/test_report.ts";

const ROOT = join(import.meta.dirname ?? ".", "..");
const FOLDER_PREFIX = "scroll-chat-tests-";
const SLOWEST = 10;
const TESTS = join(ROOT, "tests");
/** So many modules at once: many of them wait most of the time. */
const JOBS = "3";
/** What wants the machine for itself. */
const ALONE = new Set([
  "embedded",
  "faults",
  "hostile",
  "main_test.ts",
  "operations_test.ts",
  "statements_test.ts",
]);

/** Nothing of this database outlives the run, so nothing needs to reach the disk. */
const FAST_SETTINGS = { fsync: "off", full_page_writes: "off", max_wal_size: "4GB", max_connections: "300" };

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
  serial: boolean;
  /** For deno test. */
  pass: string[];
  /** None: all there is. */
  paths: string[];
}

function readOptions(args: string[]): Options {
  const options: Options = { ok: false, serial: false, pass: [], paths: [] };
  let isValue = false;
  for (const arg of args) {
    if (isValue) options.pass.push(arg);
    else if (arg === "--ok") options.ok = true;
    else if (arg === "--serial") options.serial = true;
    else if (arg.startsWith("-")) options.pass.push(...arg === "--" ? [] : [arg]);
    else if (isPath(arg)) options.paths.push(arg);
    else options.pass.push(`--filter=${arg}`);
    isValue = arg === "--filter";
  }
  return options;
}

interface Part {
  parallel: boolean;
  paths: string[];
}

/** Everything in tests/ that is or holds tests, in the order of names. */
function partsOf({ paths, serial }: Options): Part[] {
  if (paths.length > 0) return [{ parallel: false, paths }];
  const names = [...Deno.readDirSync(TESTS)].filter(({ name, isDirectory }) =>
    isDirectory || name.endsWith("_test.ts")
  ).map(({ name }) => name).toSorted();
  const [together, alone] = [
    names.filter((name) => !ALONE.has(name)),
    names.filter((name) => ALONE.has(name)),
  ];
  return [{ parallel: !serial, paths: together }, { parallel: false, paths: alone }].map((part) => ({
    ...part,
    paths: part.paths.map((name) => `tests/${name}`),
  }));
}

function isPath(word: string): boolean {
  try {
    return Boolean(Deno.statSync(resolve(ROOT, word)));
  } catch {
    return /\.tsx?$/.test(word); // a path with a slip in it should fail as a path
  }
}

async function passesChecks(signal: AbortSignal): Promise<boolean> {
  for (const check of [["fmt", "--check"], ["lint"], ["check", "--quiet"]]) {
    await say(`deno ${check.join(" ")}`);
    const { exitCode } = await runDeno(check, ROOT, {}, signal);
    if (exitCode !== 0 || signal.aborted) return false;
  }
  return true;
}

async function runTests(options: Options, signal: AbortSignal): Promise<Counts> {
  await removeLeftovers();
  await using cleanup = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: FOLDER_PREFIX });
  cleanup.defer(() => removeFolder(folder));
  const testsTemp = join(folder, "tmp"); // what a test that is cut off leaves behind goes with the rest
  await Deno.mkdir(testsTemp);
  for (const path of [folder, testsTemp]) await Deno.chmod(path, 0o755); // Postgres may run as somebody else
  const database = cleanup.use(
    await startEmbeddedPostgres({
      dataDir: join(folder, "postgres"),
      database: "postgres",
      settings: FAST_SETTINGS,
    }),
  );
  if (signal.aborted) return { passed: 0, failed: 1 };
  const total: Counts = { passed: 0, failed: 0 };
  const reports: string[] = [];
  for (const { parallel, paths } of partsOf(options)) {
    if (signal.aborted) break;
    const junit = join(folder, "junit.xml");
    const { output, exitCode } = await runDeno(
      [
        ...[
          "test",
          "--quiet",
          "-A",
          "--no-prompt",
          "--sanitize-ops",
          "--sanitize-resources",
          "--permit-no-files",
        ],
        ...[`--junit-path=${junit}`, ...parallel ? ["--parallel"] : [], ...options.pass, ...paths],
      ],
      ROOT,
      { TEST_DATABASE_URL: database.url, TMPDIR: testsTemp, DENO_JOBS: JOBS },
      signal,
    );
    reports.push(await Deno.readTextFile(junit).catch(() => ""));
    const counts = readCounts(output, exitCode);
    total.passed += counts.passed;
    total.failed += counts.failed;
  }
  await saySlowest(reports.join("\n"));
  return total;
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

/** Processes that tests have started may still be ending there. What is left then, the next run removes. */
async function removeFolder(folder: string): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      await sleep(100);
    }
  }
}

async function saySlowest(junit: string): Promise<void> {
  const slowest = readSlowest(junit, SLOWEST);
  if (slowest.length === 0) return;
  await say(`The ${slowest.length} slowest tests:`);
  for (const { name, module, seconds } of slowest) {
    await say(`${seconds.toFixed(2).padStart(8)} s  ${name}  (${module})`);
  }
}

Deno.exit(await main(Deno.args));
