/**
 * A node of a fault test: a place on a port of its own where a process runs, is ended and comes back. The process is what
 * `deno task start` starts; or, to prove the checker, one that neither repairs nor sweeps.
 */
import { type NodeProcess, startNodeProcess } from "../helpers/node_process.ts";
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
    await this.process?.end();
  }

  /** Ends as a deploy ends it; what it exits with. */
  async terminate(): Promise<number> {
    this.wasEnded = true;
    return (await this.process?.end("SIGTERM"))?.code ?? -1;
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
  const command = [Deno.execPath(), "run", "-A", "--quiet", "--import-map", map, "main.ts", "start"];
  try {
    return await startNodeProcess(databaseUrl, env, command);
  } finally {
    await Deno.remove(map);
  }
}
