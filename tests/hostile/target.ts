/**
 * The target of an attack: a node as operators run it, with what one may see of it from outside: its memory as the
 * kernel counts it, its CPU time, its log; and innocent clients that chat meanwhile and notice everything.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { cpuSeconds } from "../faults/processes.ts";
import { createTestDatabase } from "../helpers/databases.ts";
import { type NodeProcess, startNodeProcess } from "../helpers/node_process.ts";
import { RestClient } from "../helpers/rest_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { connectSocket, type TestSocket } from "../helpers/test_socket.ts";

export const MIB = 1024 * 1024;
/** What the node may take above its base, whatever is done to it. */
export const RSS_MARGIN_BYTES = 500 * MIB;

export class Target implements AsyncDisposable {
  readonly node: NodeProcess;
  readonly port: number;
  readonly #parts: AsyncDisposableStack;

  constructor(node: NodeProcess, parts: AsyncDisposableStack) {
    this.node = node;
    this.port = Number(new URL(node.url).port);
    this.#parts = parts;
  }

  /** Bytes now, and at the highest so far. */
  rss(): { now: number; peak: number } {
    const status = Deno.readTextFileSync(`/proc/${this.node.pid}/status`);
    const of = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
    return { now: of("VmRSS"), peak: of("VmHWM") };
  }

  /** From now on the peak is that of what follows. */
  forgetPeak(): void {
    Deno.writeTextFileSync(`/proc/${this.node.pid}/clear_refs`, "5");
  }

  /** Seconds so far, user and system. */
  cpuSeconds(): number {
    return cpuSeconds(this.node.pid);
  }

  /** Ports of the peers whose TCP connections the node itself holds. */
  peers(): Set<number> {
    const inodes = new Set<string>();
    for (const { name } of Deno.readDirSync(`/proc/${this.node.pid}/fd`)) {
      try {
        const link = Deno.readLinkSync(`/proc/${this.node.pid}/fd/${name}`);
        inodes.add(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? "");
      } catch {
        // closed meanwhile
      }
    }
    return new Set(
      connectionsTo(this.port).filter(({ inode }) => inodes.has(inode)).map(({ peerPort }) => peerPort),
    );
  }

  /** Milliseconds until the node holds none of these; rejects after `waitMs`. */
  async untilGone(clients: readonly { localPort: number }[], waitMs: number): Promise<number> {
    const started = performance.now();
    for (;;) {
      const peers = this.peers();
      const left = clients.filter(({ localPort }) => peers.has(localPort)).length;
      const ms = performance.now() - started;
      if (left === 0) return ms;
      if (ms > waitMs) throw new Error(`After ${waitMs} ms the node still holds ${left} connections`);
      await pause(50);
    }
  }

  events(name: string): Record<string, unknown>[] {
    return this.node.lines.filter((line) => line.includes(`"event":"${name}"`)).map((line) =>
      JSON.parse(line)
    );
  }

  /** How often the warden cut for this reason. */
  cuts(why: string): number {
    return this.events("warden.cut").filter((each) => each.why === why)
      .reduce((sum, { count }) => sum + Number(count), 0);
  }

  async rest(user: string): Promise<RestClient> {
    return new RestClient(this.node.url, await signToken(user));
  }

  async socket(user: string): Promise<TestSocket> {
    return await connectSocket(this.node.url, await signToken(user));
  }

  async room(owner: string, name = "room"): Promise<string> {
    const { status, body } = await (await this.rest(owner)).post("/rooms", { name });
    deepStrictEqual(status, 201, JSON.stringify(body));
    return body.room.id;
  }

  innocents(count = 5): Promise<Innocents> {
    return Innocents.start(this, count);
  }

  /** The log comes by a pipe, a little later. */
  async untilCuts(why: string, count: number, waitMs = 3_000): Promise<void> {
    for (let turn = 0; turn < waitMs / 20 && this.cuts(why) < count; turn++) await pause(20);
    deepStrictEqual(this.cuts(why), count, `cuts because of ${why}`);
  }

  /** Nothing of its own went wrong. */
  requireNoFaults(): void {
    const faults = this.node.lines.filter((line) =>
      /"level":"error"/.test(line) && !/bus\.not_shared/.test(line)
    );
    deepStrictEqual(faults, []);
    deepStrictEqual(this.events("warden.off"), []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

export async function startTarget(env: Record<string, string> = {}): Promise<Target> {
  await using parts = new AsyncDisposableStack();
  const database = parts.use(await createTestDatabase());
  const node = parts.use(
    await startNodeProcess(database.url, {
      DATABASE_POOL_SIZE: "4",
      DATABASE_APPEND_LANES: "2",
      CHAT_RATE_COMMANDS: "0",
      CHAT_RATE_CHANGES: "0",
      ...env,
    }),
  );
  return new Target(node, parts.move());
}

/** TCP connections to the port, as the kernel lists them at the side of whoever serves it. */
export function connectionsTo(port: number): { peerPort: number; inode: string; sendQueue: number }[] {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = ["tcp", "tcp6"].flatMap((name) => Deno.readTextFileSync(`/proc/net/${name}`).split("\n"));
  return lines.map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(hex) && state !== "0A")
    .map((fields) => ({
      peerPort: parseInt(fields[2]?.split(":")[1] ?? "", 16),
      inode: fields[9] ?? "",
      sendQueue: parseInt(fields[4]?.split(":")[0] ?? "", 16),
    }));
}

export interface Latencies {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

export function latenciesOf(milliseconds: readonly number[]): Latencies {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Clients that chat in one room, each a message every `everyMs`, and hear each other. */
export class Innocents implements AsyncDisposable {
  readonly sockets: TestSocket[];
  readonly roomId: string;
  /** From a send to its ack. */
  readonly ackMs: number[] = [];
  readonly #faults: unknown[] = [];
  readonly #under: Set<Promise<void>> = new Set();
  readonly #timer: ReturnType<typeof setInterval>;
  #sent = 0;

  private constructor(sockets: TestSocket[], roomId: string, everyMs: number) {
    this.sockets = sockets;
    this.roomId = roomId;
    let turn = 0;
    this.#timer = setInterval(() => {
      const socket = sockets[turn++ % sockets.length];
      if (socket !== undefined) this.#send(socket);
    }, everyMs / sockets.length);
  }

  static async start(target: Target, count: number, everyMs = 500): Promise<Innocents> {
    const roomId = await target.room("innocent0");
    const sockets: TestSocket[] = [];
    for (let i = 0; i < count; i++) {
      const socket = await target.socket(`innocent${i}`);
      await socket.call("join_room", { roomId });
      sockets.push(socket);
    }
    return new Innocents(sockets, roomId, everyMs);
  }

  #send(socket: TestSocket): void {
    const started = performance.now();
    this.#sent++;
    const sending = socket.call("send_message", { roomId: this.roomId, content: "good day" }).then(
      () => void this.ackMs.push(performance.now() - started),
      (fault) => void this.#faults.push(fault),
    ).finally(() => this.#under.delete(sending));
    this.#under.add(sending);
  }

  latencies(): Latencies {
    return latenciesOf(this.ackMs);
  }

  /** Stops, and requires that all are connected and every one of them has heard every message. */
  async requireUnharmed(worstMs = 5_000): Promise<Latencies> {
    clearInterval(this.#timer);
    await Promise.all(this.#under);
    deepStrictEqual(this.#faults.map(String), []);
    for (const socket of this.sockets) {
      deepStrictEqual(socket.closed, undefined);
      await socket.until(() => socket.events("message_received").length >= this.#sent, "every message");
      const heard = new Set(socket.events("message_received").map(({ seq }) => seq));
      deepStrictEqual(heard.size, this.#sent);
    }
    const latencies = this.latencies();
    ok(latencies.max < worstMs, `An innocent waited ${latencies.max} ms`);
    return latencies;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled(this.#under);
    await Promise.all(this.sockets.map((socket) => socket.close()));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
