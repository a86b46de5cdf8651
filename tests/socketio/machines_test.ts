/** Several machines behind one address, without sticky sessions. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createTestDatabase } from "../helpers/databases.ts";
import { connectSocketIo } from "../helpers/socketio_client.ts";
import { signToken, startTestApp, type TestApp } from "../helpers/test_app.ts";
import { steadyPort } from "../faults/ports.ts";
import { PacketSocket } from "./conformance/packet_socket.ts";
import { address, ask, PollingSession } from "./conformance/polling.ts";

const baseOf = ({ url }: TestApp): string => `${url}/socket.io/`;
const machineOf = (sid: string): string => sid.slice(0, sid.indexOf("."));

/** Gives each connection to the next of the nodes. */
class RoundRobin implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #work = new Set<Promise<void>>();

  constructor(ports: readonly number[]) {
    this.#own((async () => {
      let turn = 0;
      for await (const client of this.#listener) {
        const server = await Deno.connect({ port: ports[turn++ % ports.length]! });
        for (const [from, to] of [[client, server], [server, client]] as const) {
          this.#own(from.readable.pipeTo(to.writable).catch(() => {}));
        }
      }
    })());
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  #own(work: Promise<void>): void {
    const owned = work.finally(() => this.#work.delete(owned));
    this.#work.add(owned);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(this.#work);
  }
}

Deno.test("a session is served by every machine that knows the others, by polling, by WebSocket, and in between", async () => {
  const ports = [steadyPort(), steadyPort()];
  const PEER_ADDRESSES = ports.map((port, i) => `m${i}=http://127.0.0.1:${port}`).join(",");
  await using parts = new AsyncDisposableStack();
  const database = parts.use(await createTestDatabase());
  const nodes: TestApp[] = [];
  for (const [i, port] of ports.entries()) {
    const env = { PORT: String(port), NODE_NAME: `m${i}`, PEER_ADDRESSES };
    nodes.push(parts.use(await startTestApp({ database, env })));
  }
  const [here, there] = nodes.map(baseOf) as [string, string];

  const session = await PollingSession.open(here);
  strictEqual(machineOf(session.sid), "m0");
  const elsewhere = address(there, { transport: "polling", sid: session.sid });
  const connect = `40${JSON.stringify({ token: await signToken("ada") })}`;
  deepStrictEqual((await ask(elsewhere, { method: "POST", body: connect })).text, "ok");
  match((await ask(elsewhere)).text, /^40\{/);
  await using socket = await PacketSocket.upgraded(there, session.sid);
  socket.send('421["list_rooms",{}]');
  while (!String(await socket.next()).startsWith("431["));
  await session.requireGone();
  strictEqual((await ask(address(there, { transport: "polling", sid: "m0.gone" }))).status, 400);
  const { sid } = await PollingSession.open(here);
  const again = { headers: { "x-scroll-passed-on": "m7" } };
  const once = await ask(address(there, { transport: "polling", sid }), again);
  strictEqual(JSON.parse(once.text).message, "Session ID unknown", "A request is passed on once");

  await using balancer = new RoundRobin(ports);
  for (const transports of [["polling"], ["polling", "websocket"], ["websocket"]]) {
    const user = transports.join(" ");
    const client = await connectSocketIo(balancer.url, await signToken(user), { transports });
    const { room } = await client.call("create_room", { name: "a room" });
    await client.call("join_room", { roomId: room.id });
    for (let n = 0; n < 10; n++) await client.call("send_message", { roomId: room.id, content: `${n}` });
    const heard = () => client.events("message_received").map(({ message }) => message.content);
    await client.until(() => heard().length === 10, "all");
    deepStrictEqual(heard(), Array.from({ length: 10 }, (_, n) => `${n}`));
    const last = transports.at(-1);
    await client.until(() => client.socket.io.engine.transport.name === last, `the transport ${last}`);
    await client.close();
  }
});

Deno.test("a machine that cannot reach the one of a session says what to do; on Fly the proxy is told which it is", async () => {
  await using parts = new AsyncDisposableStack();
  const database = parts.use(await createTestDatabase());
  const start = async (env: Record<string, string>) =>
    baseOf(parts.use(await startTestApp({ database, env })));
  const [one, other] = [await start({}), await start({})];
  const { sid } = await PollingSession.open(one);
  for (const transport of ["polling", "websocket"]) {
    const { status, text } = await ask(address(other, { transport, sid }));
    const answer = JSON.parse(text);
    deepStrictEqual([status, answer.code, answer.message], [400, 1, "Session ID unknown"]);
    match(answer.hint, /PEER_ADDRESSES.*transports: \["websocket"\]/);
  }

  const fly = await start({ FLY_MACHINE_ID: "3d8d9d34c5e789" });
  const own = await PollingSession.open(fly);
  strictEqual(machineOf(own.sid), "3d8d9d34c5e789");
  const foreign = address(fly, { transport: "polling", sid: "0e2865e1b4d9d8.abc" });
  const told = await ask(foreign);
  deepStrictEqual([told.status, told.headers.get("fly-replay")], [409, "instance=0e2865e1b4d9d8"]);
  const replayed = await ask(foreign, { headers: { "fly-replay-src": "instance=0e2865e1b4d9d8" } });
  deepStrictEqual([replayed.status, replayed.headers.get("fly-replay")], [400, null]);
  for (const bad of [`${"a".repeat(33)}.x`, "a;state=b.x", "a%0d%0ab.x", ".x", "x"]) {
    const { status, headers } = await ask(`${address(fly, { transport: "polling" })}&sid=${bad}`);
    deepStrictEqual([status, headers.get("fly-replay")], [400, null], bad);
  }
  ok((await own.poll({ signal: AbortSignal.timeout(50) }).catch(() => "waits")) === "waits");
});
