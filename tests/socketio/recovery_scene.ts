/** Two nodes on one database and one Redis, rooms and clients of socket.io-client, which are cut off and come back. */
import { strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createTestDatabase } from "../helpers/databases.ts";
import { RedisServer } from "../helpers/redis.ts";
import type { RestClient } from "../helpers/rest_client.ts";
import { openSocketIo, type SocketIoSocket, type Transports } from "../helpers/socketio_client.ts";
import { Refused } from "../helpers/test_socket.ts";
import { signToken, startTestApp, type TestApp } from "../helpers/test_app.ts";

/** All tries together; and one, after which the client says so itself. */
const CONNECT_MS = 20_000;
const TRY_MS = 5_000;

export class Scene implements AsyncDisposable {
  readonly nodes: TestApp[];
  readonly #parts: AsyncDisposableStack;
  readonly #clients: SocketIoSocket[] = [];

  private constructor(nodes: TestApp[], parts: AsyncDisposableStack) {
    this.nodes = nodes;
    this.#parts = parts;
  }

  static async start(): Promise<Scene> {
    await using parts = new AsyncDisposableStack();
    const redis = parts.use(await RedisServer.start());
    const database = parts.use(await createTestDatabase());
    const env = { REDIS_URL: redis.url, CHAT_RATE_CHANGES: "0" };
    const nodes = [];
    for (let i = 0; i < 2; i++) nodes.push(parts.use(await startTestApp({ database, env })));
    return new Scene(nodes, parts.move());
  }

  async client(user: string, transports?: Transports): Promise<SocketIoSocket> {
    const options = { timeout: TRY_MS, ...(transports === undefined ? {} : { transports: [...transports] }) };
    const client = openSocketIo(this.nodes[0]!.url, await signToken(user), options);
    this.#clients.push(client);
    await untilConnected(client);
    await client.next("hello");
    return client;
  }

  rest(user: string): Promise<RestClient> {
    return this.nodes[0]!.rest(user);
  }

  async room(owner: string, ...members: string[]): Promise<string> {
    const rest = await this.rest(owner);
    const { body } = await rest.post("/rooms", { name: "room", type: "PRIVATE" });
    for (const userId of members) {
      await (await this.rest(userId)).get("/rooms"); // known from then on
      strictEqual((await rest.post(`/rooms/${body.room.id}/members`, { userId })).status, 201);
    }
    return body.room.id;
  }

  async say(user: string, roomId: string, content: string): Promise<string> {
    const { status, body } = await (await this.rest(user)).post("/messages", { roomId, content });
    strictEqual(status, 201, JSON.stringify(body));
    return body.message.id;
  }

  async closeClients(): Promise<void> {
    await Promise.all(this.#clients.splice(0).map((client) => client.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

/** A node that has more to do than it can ends a session before it has begun: the client tries again, here by hand. */
async function untilConnected(client: SocketIoSocket): Promise<void> {
  for (const end = performance.now() + CONNECT_MS;;) {
    try {
      return await client.untilConnected(end - performance.now());
    } catch (fault) {
      if (performance.now() >= end || (fault instanceof Refused && !fault.body.retryable)) throw fault;
    }
    await sleep(50);
    client.socket.connect();
  }
}

/** Without a goodbye. */
export async function cut(client: SocketIoSocket): Promise<void> {
  client.socket.io.engine.close();
  await client.untilClosed();
}

/** At whichever node; says whether it has recovered. */
export async function back(client: SocketIoSocket, { url }: TestApp): Promise<boolean> {
  Object.assign(client.socket.io, { uri: url });
  client.socket.connect();
  await untilConnected(client);
  return client.socket.recovered;
}

export const said = (client: SocketIoSocket): string[] =>
  client.events("message_received").map(({ message }) => message.content);

/** Something else comes last: what has not come by then does not come. */
export async function untilQuiet(scene: Scene, client: SocketIoSocket, roomId: string): Promise<void> {
  const last = `last ${crypto.randomUUID()}`;
  await scene.say("owner", roomId, last);
  await client.next("message_received", ({ message }) => message.content === last);
  const at = client.pushes.findIndex(({ data }) => data?.message?.content === last);
  client.pushes.splice(at, 1);
}
