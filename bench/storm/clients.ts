/**
 * The clients of a storm, in a process of their own: sockets that hear all their rooms by `sync`, and come back as the
 * contract says when their node goes away. Asked by one line of JSON on stdin; tells each stage by a line on stdout.
 */
import { SUBPROTOCOL, SUBPROTOCOL_BEARER } from "../../src/protocol/limits.ts";

export interface StormAsk {
  /** Where they are first, and where they go. */
  urls: [string, string];
  tokens: string[];
}

export interface StormResult {
  /** From being closed to having caught up elsewhere. */
  awayMs: number[];
  /** From the first close to the last catch-up. */
  allMs: number;
  tries: number;
}

// deno-lint-ignore no-explicit-any -- answers of a server under test
type Json = any;

const CONNECT_AT_ONCE = 100;

class Client {
  readonly #ask: StormAsk;
  readonly #token: string;
  #positions: Record<string, Json> = {};
  #closedAt = 0;
  #retryInMs = 0;
  tries = 0;
  readonly moved = Promise.withResolvers<{ closedAt: number; backAt: number }>();

  constructor(ask: StormAsk, token: string) {
    this.#ask = ask;
    this.#token = token;
  }

  async start(): Promise<void> {
    const socket = await this.#until(this.#ask.urls[0]);
    socket.addEventListener("close", () => {
      this.#closedAt = performance.now();
      setTimeout(() => void this.#move(), Math.random() * this.#retryInMs / 4);
    });
  }

  async #until(url: string): Promise<WebSocket> {
    for (let waitMs = 100;; waitMs = Math.min(2 * waitMs, 3_000)) {
      this.tries++;
      const socket = await this.#connect(url);
      if (socket !== undefined) return socket;
      await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + Math.random())));
    }
  }

  async #move(): Promise<void> {
    this.tries = 0;
    await this.#until(this.#ask.urls[1]);
    this.moved.resolve({ closedAt: this.#closedAt, backAt: performance.now() });
  }

  /** Connected, and all rooms heard. */
  #connect(url: string): Promise<WebSocket | undefined> {
    const socket = new WebSocket(url, [SUBPROTOCOL, SUBPROTOCOL_BEARER + this.#token]);
    return new Promise((resolve) => {
      socket.onclose = () => resolve(undefined);
      socket.onerror = () => {};
      socket.onmessage = ({ data }) => {
        const { event, ack, data: told, error } = JSON.parse(data);
        if (event === "hello") {
          socket.send(JSON.stringify({ event: "sync", data: { positions: this.#positions }, id: 1 }));
        } else if (event === "server_draining") this.#retryInMs = told.retryInMs;
        else if (ack === 1 && error === undefined) {
          for (const { roomId, position } of told.rooms) this.#positions[roomId] = position;
          resolve(socket);
        } else if (ack === 1) socket.close(); // busy: another try
      };
    });
  }
}

const say = (stage: object): void =>
  void Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(stage)}\n`));

if (import.meta.main) {
  const ask: StormAsk = await new Response(Deno.stdin.readable).json();
  const clients = ask.tokens.map((token) => new Client(ask, token));
  const left = clients.values();
  await Promise.all(Array.from({ length: CONNECT_AT_ONCE }, async () => {
    for (const client of left) await client.start();
  }));
  say({ stage: "connected" });
  const moves = await Promise.all(clients.map(({ moved }) => moved.promise));
  const first = Math.min(...moves.map(({ closedAt }) => closedAt));
  const last = Math.max(...moves.map(({ backAt }) => backAt));
  say({
    stage: "moved",
    awayMs: moves.map(({ closedAt, backAt }) => backAt - closedAt),
    allMs: last - first,
    tries: clients.reduce((sum, { tries }) => sum + tries, 0),
  });
  Deno.exit(0);
}
