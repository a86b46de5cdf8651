/**
 * A node of a fault test: a place on a port of its own where a process runs, is ended and comes back. The process is what
 * `deno task start` starts; or, to prove the checker, one that neither repairs nor sweeps.
 */
import { JWT_SECRET } from "../helpers/test_app.ts";
import { type NodeProcess, readLines, startNodeProcess } from "../helpers/node_process.ts";
import { FaultProxy } from "./fault_proxy.ts";
import { steadyPort } from "./ports.ts";
import { rssMiB, signal } from "./processes.ts";

const ROOT = new URL("../../", import.meta.url);
const SAMPLE_MS = 200;
const SETTLE_MS = 15_000;

export interface NodeSlotInit {
  index: number;
  databaseUrl: string;
  env: Record<string, string>;
  isBroken: boolean;
  redisProxy: FaultProxy | undefined;
  postgresProxy: FaultProxy | undefined;
  hasClientProxy: boolean;
}

export class NodeSlot implements AsyncDisposable {
  readonly index: number;
  readonly port = steadyPort();
  readonly url = `http://127.0.0.1:${this.port}`;
  /** Of all lives. */
  readonly #lines: string[][] = [];
  readonly #init: NodeSlotInit;
  readonly redisProxy: FaultProxy | undefined;
  readonly postgresProxy: FaultProxy | undefined;
  readonly clientProxy: FaultProxy | undefined;
  process: NodeProcess | undefined;
  /** We ended it: it need not live. */
  wasEnded = false;
  #sampling: ReturnType<typeof setInterval> | undefined;
  #sample: Promise<void> = Promise.resolve();
  #isFaulty = false;
  baseMiB = 0;
  peakMiB = 0;

  constructor(init: NodeSlotInit) {
    this.#init = init;
    this.index = init.index;
    this.redisProxy = init.redisProxy;
    this.postgresProxy = init.postgresProxy;
    if (init.hasClientProxy) this.clientProxy = FaultProxy.to(this.url);
  }

  /** Where clients find it. */
  get clientUrl(): string {
    return this.clientProxy?.url ?? this.url;
  }

  get lines(): string[] {
    return this.#lines.flat();
  }

  async start(): Promise<void> {
    const env = { PORT: String(this.port), LOG_LEVEL: "info", ...this.#init.env };
    const { databaseUrl, isBroken } = this.#init;
    const process = await (isBroken ? startBroken(databaseUrl, env) : startNodeProcess(databaseUrl, env));
    this.process = process;
    this.wasEnded = false;
    this.#lines.push(process.lines);
  }

  /** What it needs before the fault is the base of what it may need in it. */
  watchMemory(): void {
    this.#sampling = setInterval(() => this.#sample = this.#take(), SAMPLE_MS);
  }

  beginFault(): void {
    this.#isFaulty = true;
  }

  async #take(): Promise<void> {
    const { pid } = this.process ?? {};
    const mib = pid === undefined ? 0 : await rssMiB(pid);
    if (this.#isFaulty) this.peakMiB = Math.max(this.peakMiB, mib);
    else this.baseMiB = Math.max(this.baseMiB, mib);
  }

  get growthMiB(): number {
    return Math.max(0, this.peakMiB - this.baseMiB);
  }

  async kill(): Promise<void> {
    this.wasEnded = true;
    this.process?.kill("SIGKILL");
    await this.process?.status;
  }

  /** Ends as a deploy ends it; what it exits with. */
  async terminate(): Promise<number> {
    this.wasEnded = true;
    this.process?.kill("SIGTERM");
    return (await this.process?.status)?.code ?? -1;
  }

  async isAlive(): Promise<boolean> {
    try {
      const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(SETTLE_MS) });
      await answer.body?.cancel();
      return answer.ok;
    } catch {
      return false;
    }
  }

  /** Faults that nobody had thought of, and those that reached the last handler there is. */
  get faults(): string[] {
    return this.lines.filter((line) => /"(process|command|request|socket|handler)\.fault"/.test(line));
  }

  async stopWatching(): Promise<void> {
    clearInterval(this.#sampling);
    await this.#sample;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopWatching();
    if (this.process !== undefined) {
      signal(this.process.pid, "SIGCONT");
      await this.process[Symbol.asyncDispose]();
    }
    for (const proxy of [this.redisProxy, this.postgresProxy, this.clientProxy]) {
      await proxy?.[Symbol.asyncDispose]();
    }
  }
}

/** The same program, but what repairs and sweeps is replaced, by an import map of its own. */
async function startBroken(databaseUrl: string, env: Record<string, string>): Promise<NodeProcess> {
  const { imports }: { imports: Record<string, string> } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const folders = Object.fromEntries( // which deno.json implies, and an import map does not
    Object.entries(imports).map(([name, target]) => [`${name}/`, `${target.replace("npm:", "npm:/")}/`]),
  );
  const replaced = Object.fromEntries(
    ["stream", "sweep"].map((name) => [
      new URL(`src/delivery/${name}.ts`, ROOT).href,
      new URL(`tests/faults/broken/${name}.ts`, ROOT).href,
    ]),
  );
  const map = await Deno.makeTempFile({ prefix: "scroll-chat-broken-", suffix: ".json" });
  await Deno.writeTextFile(map, JSON.stringify({ imports: { ...imports, ...folders, ...replaced } }));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--import-map", map, "main.ts", "start"],
    cwd: ROOT,
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      HOME: Deno.env.get("HOME") ?? "",
      ...{ DATABASE_URL: databaseUrl, JWT_SECRET, HOST: "127.0.0.1", ...env },
    },
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  const lines: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const readers = [child.stdout, child.stderr].map((stream) =>
    readLines(stream, (line) => {
      lines.push(line);
      if (line.includes('"server.listening"')) resolve();
    })
  );
  void child.status.then(({ code }) => reject(new Error(`It ended with ${code}:\n${lines.join("\n")}`)));
  await promise.finally(() => Deno.remove(map));
  return {
    url: "",
    pid: child.pid,
    status: child.status,
    lines,
    kill: (name) => child.kill(name),
    [Symbol.asyncDispose]: async () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // it has ended
      }
      await child.status;
      await Promise.all(readers);
    },
  };
}
