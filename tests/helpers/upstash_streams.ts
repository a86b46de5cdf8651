/** The subscriptions of tests' Upstash: responses of server-sent events, fed by one subscriber of the real Redis. */
import { createClient } from "@redis/client";

export type Sent = string | number | null | Sent[];

interface Stream {
  controller: ReadableStreamDefaultController<Uint8Array>;
  channels: readonly string[];
  /** Takes it out of Redis' list. */
  leave(): Promise<void>;
}

const encoder = new TextEncoder();

/** Of the second protocol, whose answers are those that Upstash documents. */
const toClient = (url: string) => createClient({ url, RESP: 2, socket: { reconnectStrategy: 50 } });

export type RedisClient = ReturnType<typeof toClient>;

export async function connectRedis(url: string): Promise<RedisClient> {
  const client = toClient(url);
  client.on("error", () => {});
  await client.connect();
  return client;
}

export class StreamDesk {
  isSilent = false;
  readonly #client: RedisClient;
  readonly #streams = new Set<Stream>();

  private constructor(client: RedisClient) {
    this.#client = client;
  }

  static async open(url: string): Promise<StreamDesk> {
    return new StreamDesk(await connectRedis(url));
  }

  get size(): number {
    return this.#streams.size;
  }

  async serve(channels: readonly string[]): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<ReadableStreamDefaultController<Uint8Array>>();
    const body = new ReadableStream<Uint8Array>({
      start: resolve,
      cancel: () => this.#drop(stream),
    });
    const controller = await promise;
    const hear = (text: string, channel: string): void => {
      if (!this.isSilent) this.#write(stream, `data: message,${channel},${text}\n\n`);
    };
    const stream: Stream = {
      controller,
      channels,
      leave: () => this.#client.unsubscribe([...channels], hear),
    };
    this.#streams.add(stream);
    await this.#client.subscribe([...channels], hear);
    channels.forEach((channel, i) => this.#write(stream, `data: subscribe,${channel},${i + 1}\n\n`));
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  end(): void {
    for (const stream of [...this.#streams]) {
      this.#drop(stream);
      stream.controller.close();
    }
  }

  cut(): void {
    for (const stream of [...this.#streams]) {
      this.#write(stream, `data: message,${stream.channels[0]},["half an ev`);
      this.#drop(stream);
      setTimeout(() => stream.controller.error(new Error("cut")), 20); // after the half is on its way
    }
  }

  async close(): Promise<void> {
    this.end();
    await this.#client.close();
  }

  #write(stream: Stream, text: string): void {
    if (this.#streams.has(stream)) stream.controller.enqueue(encoder.encode(text));
  }

  #drop(stream: Stream): void {
    if (this.#streams.delete(stream)) stream.leave().catch(() => {});
  }
}
