/**
 * Redis servers of tests: on a free port of this machine, without persistence, alone or as a cluster of three. They end
 * with the test, killed by their pid.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerProcess } from "./child_process.ts";
import { ensureCommand, findCommand } from "./debian.ts";

/** A port that nobody has; a cluster's node also takes the one 10,000 above it. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #options: readonly string[];
  readonly #process = new ServerProcess("Redis");

  private constructor(port: number, folder: string, options: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#options = options;
  }

  static async start(options: readonly string[] = [], port: number = freePort()): Promise<RedisServer> {
    await ensureCommand("redis-server", "redis-server");
    const server = new RedisServer(port, await Deno.makeTempDir({ prefix: "scroll-chat-redis-" }), options);
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** With nothing in it; answers pings once this settles. */
  async restart(): Promise<void> {
    const program = await findCommand("redis-server");
    if (program === undefined) throw new Error("There is no redis-server");
    const args = [
      ...["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
      ...["--dir", this.#folder, "--daemonize", "no", "--loglevel", "warning", ...this.#options],
    ];
    await this.#process.start(program, args, async () => await this.command("PING") === "+PONG");
  }

  /** One command in the server's own inline form; the first line of the answer. */
  async command(line: string): Promise<string> {
    return (await this.ask(line)).split("\r\n", 1)[0] ?? "";
  }

  /** The whole answer, as long as it comes in one go. */
  async ask(line: string): Promise<string> {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    await connection.write(new TextEncoder().encode(`${line}\r\nQUIT\r\n`));
    let text = "";
    const decoder = new TextDecoder();
    for (const buffer = new Uint8Array(65_536);;) {
      const count = await connection.read(buffer);
      if (count === null) return text;
      text += decoder.decode(buffer.subarray(0, count), { stream: true });
    }
  }

  /** How often each command was asked for since the last call: `cmdstat_` names in lower case. */
  async takeCommandCounts(): Promise<Map<string, number>> {
    const text = await this.ask("INFO commandstats");
    await this.command("CONFIG RESETSTAT");
    const counts = [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
    return new Map(counts.map(([, name = "", calls]) => [name, Number(calls)]));
  }

  kill(signal?: Deno.Signal): Promise<void> {
    return this.#process.kill(signal);
  }

  /** Stands still, with its connections open. */
  pause(): void {
    this.#process.pause();
  }

  resume(): void {
    this.#process.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true }).catch(() => {});
  }
}

export class RedisCluster implements AsyncDisposable {
  readonly servers: readonly RedisServer[];

  private constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
  }

  /** Three masters that share the slots. */
  static async start(): Promise<RedisCluster> {
    await using parts = new AsyncDisposableStack();
    const servers: RedisServer[] = [];
    for (let i = 0; i < 3; i++) {
      const options = ["--cluster-enabled", "yes", "--cluster-port", String(freePort())];
      servers.push(parts.use(await RedisServer.start([...options, "--cluster-node-timeout", "2000"])));
    }
    await RedisCluster.#join(servers);
    parts.move();
    return new RedisCluster(servers);
  }

  static async #join(servers: readonly RedisServer[]): Promise<void> {
    const cli = await findCommand("redis-cli") ?? join("/usr/bin", "redis-cli");
    const { code, stdout } = await new Deno.Command(cli, {
      args: [
        ...["--cluster", "create", ...servers.map(({ port }) => `127.0.0.1:${port}`)],
        ...["--cluster-replicas", "0", "--cluster-yes"],
      ],
    }).output();
    if (code !== 0) throw new Error(`No cluster: ${new TextDecoder().decode(stdout)}`);
    for (const server of servers) {
      for (let turn = 0; !(await server.ask("CLUSTER INFO")).includes("cluster_state:ok"); turn++) {
        if (turn > 200) throw new Error("The cluster does not come up");
        await sleep(50);
      }
    }
  }

  get url(): string {
    return this.servers[0]?.url ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
  }
}
