/**
 * A Postgres of one test's own, to be broken: killed with all its processes, stopped and continued, started again on the
 * same port with the same data. Writes reach the disk as in production. Another one may be its standby.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { commandAs, ownerOf } from "../../src/embedded/account.ts";
import { findBinaries, programPath } from "../../src/embedded/binaries.ts";
import { type Cluster, openCluster, SUPERUSER } from "../../src/embedded/cluster.ts";
import { choosePlacement, clusterFolder, type Placement } from "../../src/embedded/placement.ts";
import { ordinaryFolder } from "../helpers/postgres15.ts";
import { copyCluster } from "./base_backup.ts";
import { steadyPort } from "./ports.ts";
import { childrenOf, signal, untilEnded } from "./processes.ts";

const START_MS = 30_000;

export interface PrivatePostgresOptions {
  settings?: Record<string, string>;
  /** On a disk of this size, which the data does not share with anything. */
  diskMiB?: number;
}

export class PrivatePostgres implements AsyncDisposable {
  readonly port = steadyPort();
  readonly folder: string;
  readonly #placement: Placement;
  readonly #cluster: Cluster;
  readonly #settings: Record<string, string>;
  readonly #parts: AsyncDisposableStack;
  #child: Deno.ChildProcess | undefined;

  private constructor(
    init: { folder: string; placement: Placement; cluster: Cluster; parts: AsyncDisposableStack },
    settings: Record<string, string>,
  ) {
    this.folder = init.folder;
    this.#placement = init.placement;
    this.#cluster = init.cluster;
    this.#parts = init.parts;
    this.#settings = settings;
  }

  static async start({ settings = {}, diskMiB }: PrivatePostgresOptions = {}): Promise<PrivatePostgres> {
    await using parts = new AsyncDisposableStack();
    const { folder, placement } = await makeHome(parts, diskMiB);
    const cluster = await openCluster(placement, { durable: true, progress: () => {} });
    const postgres = new PrivatePostgres({ folder, placement, cluster, parts: parts.move() }, settings);
    await postgres.launch();
    return postgres;
  }

  /** A hot standby of the primary, which it reaches by `port`: a proxy's, say. */
  static async startStandby(primary: PrivatePostgres, port: number): Promise<PrivatePostgres> {
    await using parts = new AsyncDisposableStack();
    const { folder, placement } = await makeHome(parts);
    const { password } = primary.#cluster;
    const cluster = { folder: clusterFolder(folder), password };
    const slot = `standby_${crypto.randomUUID().replaceAll("-", "")}`;
    await copyCluster({
      ...{ url: primary.url, slot, from: primary.#cluster.folder, to: cluster.folder },
      owner: ownerOf(placement.account),
    });
    const settings = {
      primary_conninfo: `host=127.0.0.1 port=${port} user=${SUPERUSER} password=${password}`,
      primary_slot_name: slot,
      hot_standby_feedback: "on",
      wal_retrieve_retry_interval: "200ms",
      wal_receiver_timeout: "5s",
    };
    const standby = new PrivatePostgres({ folder, placement, cluster, parts: parts.move() }, settings);
    await standby.launch();
    return standby;
  }

  get url(): string {
    return `postgres://${SUPERUSER}:${this.#cluster.password}@127.0.0.1:${this.port}/postgres`;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Settles when it takes connections. */
  async launch(): Promise<void> {
    const fixed = { listen_addresses: "127.0.0.1", port: String(this.port), unix_socket_directories: "" };
    const flags = Object.entries({ max_connections: "200", ...this.#settings, ...fixed }).flatMap((
      [name, value],
    ) => ["-c", `${name}=${value}`]);
    const { account, binaries } = this.#placement;
    const child = commandAs(account, programPath(binaries, "postgres"), [
      "-D",
      this.#cluster.folder,
      ...flags,
    ], {
      ...{ stdin: "null", stdout: "null", stderr: "null", detached: true },
    }).spawn();
    this.#child = child;
    void child.status.then(() => this.#child === child && (this.#child = undefined));
    const until = performance.now() + START_MS;
    while (!await this.#isReady(child.pid)) {
      if (this.#child === undefined || performance.now() > until) {
        throw new Error("Postgres does not come up");
      }
      await sleep(20);
    }
  }

  async #isReady(pid: number): Promise<boolean> {
    const text = await Deno.readTextFile(join(this.#cluster.folder, "postmaster.pid")).catch(() => "");
    const lines = text.split("\n");
    return Number(lines[0]) === pid && ["ready", "standby"].includes(lines[7]?.trim() ?? "");
  }

  /** All of its processes, at once and without a word. */
  async killAll(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    signal(child.pid, "SIGSTOP"); // it starts no more of them meanwhile
    const children = await childrenOf(child.pid);
    for (const pid of [child.pid, ...children]) signal(pid, "SIGKILL");
    await Promise.all([child.status, ...children.map(untilEnded)]);
  }

  async pause(): Promise<void> {
    for (const pid of await this.#all()) signal(pid, "SIGSTOP");
  }

  async resume(): Promise<void> {
    for (const pid of await this.#all()) signal(pid, "SIGCONT");
  }

  async #all(): Promise<number[]> {
    if (this.#child === undefined) return [];
    return [this.#child.pid, ...await childrenOf(this.#child.pid)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resume();
    await this.killAll();
    await this.#parts.disposeAsync();
  }
}

async function makeHome(
  parts: AsyncDisposableStack,
  diskMiB?: number,
): Promise<{ folder: string; placement: Placement }> {
  const { path } = parts.use(await ordinaryFolder("scroll-chat-faults-"));
  const folder = join(path, "home");
  await Deno.mkdir(folder);
  if (diskMiB !== undefined) {
    await mount(folder, diskMiB);
    parts.defer(() => run("umount", [folder]));
  }
  const owner = await Deno.stat(path);
  if (Deno.uid() === 0 && owner.uid !== null && owner.gid !== null) {
    await Deno.chown(folder, owner.uid, owner.gid);
  }
  return { folder, placement: await choosePlacement(folder, await findBinaries(), () => {}) };
}

async function mount(folder: string, mib: number): Promise<void> {
  await run("mount", ["-t", "tmpfs", "-o", `size=${mib}m,mode=0755`, "tmpfs", folder]);
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdin: "null", stdout: "null" })
    .output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
}
