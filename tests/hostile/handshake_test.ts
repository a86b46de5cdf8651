/** Connections that only hold a place: requests never finished, sockets that never sign in, one request and no more. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createTestDatabase } from "../helpers/databases.ts";
import { startNodeProcess, taskCommand } from "../helpers/node_process.ts";
import { handshake, RawClient, toBytes } from "../helpers/raw_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { connectSocket } from "../helpers/test_socket.ts";
import { pause, startTarget } from "./target.ts";

const HALVES = [
  "",
  "G",
  "GET /ws HTTP/1.1\r\nHost: a\r\n",
  handshake().slice(0, -2),
  "\x16\x03\x01\x02\x00\x01",
];

/** Some at a time, as fast as the node accepts. */
async function connectMany(port: number, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  let left = count;
  const more = async (): Promise<void> => {
    while (left-- > 0) {
      try {
        clients.push(await RawClient.connect(port));
      } catch (fault) {
        if (!(fault instanceof Deno.errors.ConnectionReset)) throw fault; // cut already
      }
    }
  };
  await Promise.all(Array.from({ length: 32 }, more));
  return clients;
}

Deno.test("2,000 handshakes that are never finished are gone in 6 s, and clients connect meanwhile", async () => {
  await using target = await startTarget();
  await using innocents = await target.innocents();
  const started = performance.now();
  const clients = await connectMany(target.port, 2_000);
  await Promise.all(clients.map((client, i) => client.write(toBytes(HALVES[i % HALVES.length]!))));
  const connectedMs = performance.now() - started;
  for (let i = 0; i < 5; i++) {
    const before = performance.now();
    const newcomer = await target.socket(`newcomer${i}`);
    await newcomer.call("list_rooms");
    ok(performance.now() - before < 3_000, "A newcomer waited");
    await newcomer.close();
  }
  await target.untilGone(clients, 9_500);
  const ms = performance.now() - started;
  ok(ms < connectedMs + 8_500, `gone after ${ms} ms`);
  clients.forEach((client) => client.close());
  await innocents.requireUnharmed();
  target.requireNoFaults();
});

Deno.test("sockets that never sign in are closed with 4401 after 5 s; too many of them are refused", async () => {
  await using target = await startTarget({ SOCKET_MAX_UNAUTHENTICATED: "30" });
  await using innocents = await target.innocents();
  const started = performance.now();
  const clients: RawClient[] = [];
  for (let i = 0; i < 3; i++) clients.push(await RawClient.open(target.port));
  // a tenth of them is for one address
  const refused = await fetchUpgrade(target.port, {});
  strictEqual(refused.status, 429);
  deepStrictEqual(JSON.parse(refused.body).error.code, "rate_limited");
  ok(/\r\nretry-after: 1(\r\n|$)/i.test(refused.text));
  const withToken = await target.socket("newcomer");
  await withToken.call("list_rooms");
  await withToken.close();
  for (const client of clients) await client.send({ event: "list_rooms", id: 1 }); // that is no signing in
  for (const client of clients) {
    const { code, at } = await client.untilEnded(8_000);
    strictEqual(code, 4401);
    ok(at - started > 4_900 && at - started < 8_000, `closed after ${at - started} ms`);
    strictEqual(client.messages[0].error.code, "unauthenticated");
  }
  const again = await RawClient.open(target.port);
  again.close();
  clients.forEach((client) => client.close());
  await innocents.requireUnharmed();
  target.requireNoFaults();
});

Deno.test("with the descriptors at their end the node still listens, and lets go of who only holds one", async () => {
  await using database = await createTestDatabase();
  const command = [
    "sh",
    "-c",
    `ulimit -n 8000; exec "$@"`,
    "sh",
    Deno.execPath(),
    ...await taskCommand("start"),
  ];
  await using node = await startNodeProcess(database.url, { DATABASE_POOL_SIZE: "4" }, command);
  const port = Number(new URL(node.url).port);
  const clients: RawClient[] = [];
  try {
    const ada = await connectSocket(node.url, await signToken("ada"));
    for (let round = 0; round < 3; round++) {
      clients.push(...await connectMany(port, 4_000));
      await pause(100);
    }
    // with one request each they are no better
    for (let i = 0; i < 300; i++) {
      const [client] = await connectMany(port, 1);
      if (client === undefined) continue;
      clients.push(client);
      await client.write(toBytes("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    await pause(1_000);
    await ada.call("list_rooms");
    const bob = await connectSocket(node.url, await signToken("bob"));
    await bob.call("list_rooms");
    await Promise.all([ada.close(), bob.close()]);
    deepStrictEqual(node.lines.filter((line) => /"level":"error"/.test(line)), []);
  } finally {
    clients.forEach((client) => client.close());
  }
});

async function fetchUpgrade(port: number, init: Parameters<typeof handshake>[0]) {
  using client = await RawClient.connect(port);
  await client.write(toBytes(handshake(init)));
  return await client.readAnswer();
}
