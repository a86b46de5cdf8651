/**
 * Upstash's documented REST API in front of a real Redis: a command by its path or as a JSON body, /pipeline,
 * /multi-exec, /subscribe as server-sent events, base64 answers, errors as {"error"}; and switches for its faults.
 * It counts what Upstash bills: requests and commands.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RedisServer } from "./redis.ts";
import { connectRedis, type RedisClient, type Sent, StreamDesk } from "./upstash_streams.ts";

/** What every request meets. */
export type UpstashFault =
  | { is: "status"; status: number; body: string }
  | { is: "late"; ms: number }
  | undefined;

interface Answer {
  result?: unknown;
  error?: string;
}

export class UpstashServer implements AsyncDisposable {
  static readonly TOKEN = "AX_sASQgOD-a-token-of-tests";
  readonly url: string;
  readonly redis: RedisServer;
  fault: UpstashFault;
  requests = 0;
  commands = 0;
  readonly #client: RedisClient;
  readonly #streams: StreamDesk;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(redis: RedisServer, client: RedisClient, streams: StreamDesk, port: number) {
    this.redis = redis;
    this.#client = client;
    this.#streams = streams;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {}, onError: () => refuse(500, "ERR internal") },
      (request) => this.#answer(request),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  static async start(port = 0): Promise<UpstashServer> {
    await using parts = new AsyncDisposableStack();
    const redis = parts.use(await RedisServer.start());
    const client = await connectRedis(redis.url);
    const streams = await StreamDesk.open(redis.url);
    parts.move();
    return new UpstashServer(redis, client, streams, port);
  }

  /** Of subscriptions: all that are open end cleanly, or in the middle of an event; or nothing comes by them any more. */
  endStreams(): void {
    this.#streams.end();
  }
  cutStreams(): void {
    this.#streams.cut();
  }
  set isSilent(isSilent: boolean) {
    this.#streams.isSilent = isSilent;
  }
  get openStreams(): number {
    return this.#streams.size;
  }

  async #answer(request: Request): Promise<Response> {
    this.requests++;
    const { fault } = this;
    if (fault?.is === "status") return new Response(fault.body, { status: fault.status });
    if (fault?.is === "late") await sleep(fault.ms);
    const url = new URL(request.url);
    const token = request.headers.get("Authorization")?.replace(/^Bearer /, "") ??
      url.searchParams.get("_token");
    if (token !== UpstashServer.TOKEN) return refuse(401, "WRONGPASS invalid or missing auth token");
    if (!["HEAD", "GET", "POST", "PUT"].includes(request.method)) {
      return refuse(405, "ERR method not allowed");
    }
    const [verb = "", ...path] = url.pathname.slice(1).split("/").map(decodeURIComponent);
    if (verb === "subscribe") {
      this.commands++;
      return this.#streams.serve(path);
    }
    const body = request.method === "POST" || request.method === "PUT" ? await request.text() : "";
    if (verb === "pipeline" || verb === "multi-exec") return await this.#batch(verb, body, request.headers);
    const command = verb === ""
      ? JSON.parse(body)
      : [verb, ...path, ...(body === "" ? [] : [body]), ...optionsOf(url)];
    const answer = await this.#run(command);
    return reply(encode(answer, request.headers), answer.error === undefined ? 200 : 400);
  }

  async #batch(verb: string, body: string, headers: Headers): Promise<Response> {
    let rows: unknown;
    try {
      rows = JSON.parse(body);
    } catch {
      return refuse(400, "ERR failed to parse pipeline request");
    }
    if (!Array.isArray(rows)) return refuse(400, "ERR failed to parse pipeline request");
    if (verb === "multi-exec") await this.#client.sendCommand(["MULTI"]);
    const answers: Answer[] = [];
    for (const row of rows) answers.push(await this.#run(row));
    if (verb === "multi-exec") {
      const results = await this.#client.sendCommand<unknown[]>(["EXEC"]);
      return reply(
        results.map((result) =>
          encode(result instanceof Error ? { error: result.message } : { result }, headers)
        ),
      );
    }
    return reply(answers.map((answer) => encode(answer, headers)));
  }

  async #run(command: unknown): Promise<Answer> {
    this.commands++;
    if (!Array.isArray(command) || command.length === 0) return { error: "ERR invalid command" };
    if (!this.#client.isReady) return { error: "ERR the database is out of reach" };
    try {
      return { result: await this.#client.sendCommand(command.map(String)) ?? null };
    } catch (fault) {
      return { error: fault instanceof Error ? fault.message : String(fault) };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#streams.close();
    await this.#server.shutdown();
    this.#client.destroy();
    await this.redis[Symbol.asyncDispose]();
  }
}

const reply = (body: unknown, status = 200): Response => Response.json(body, { status });
const refuse = (status: number, error: string): Response => reply({ error }, status);

/** `?EX=100` behind a posted value. */
const optionsOf = (url: URL): string[] =>
  [...url.searchParams].filter(([name]) => name !== "_token").flatMap(([name, value]) => [name, value]);

function encode(answer: Answer, headers: Headers): Answer {
  if (headers.get("Upstash-Encoding") !== "base64" || answer.error !== undefined) return answer;
  return { result: toBase64(answer.result) };
}

function toBase64(value: unknown): Sent {
  if (Array.isArray(value)) return value.map(toBase64);
  if (typeof value !== "string" || value === "OK") return value as Sent;
  return new TextEncoder().encode(value).toBase64();
}
