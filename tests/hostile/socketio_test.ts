/** Hostile clients at the Socket.IO door: those of the native door, and what polling and attachments add. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { frame, handshake, OPCODE, RawClient, textFrame, toBytes } from "../helpers/raw_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { PacketSocket } from "../socketio/conformance/packet_socket.ts";
import { address, ask, PollingSession } from "../socketio/conformance/polling.ts";
import { MIB, pause, RSS_MARGIN_BYTES, startTarget, type Target } from "./target.ts";

const PATH = "/socket.io/?EIO=4&transport=websocket";
const BESIDE = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

const baseOf = (target: Target): string => `${target.node.url}/socket.io/`;

/** Of a session that begins, from this address. */
const begin = (target: Target, client: string) =>
  ask(address(baseOf(target), { transport: "polling" }), { headers: { "x-client": client } });

async function signedIn(target: Target, user: string): Promise<PollingSession> {
  const session = await PollingSession.open(baseOf(target));
  await session.send(`40${JSON.stringify({ token: await signToken(user) })}`);
  return session;
}

async function untilGone(session: PollingSession, waitMs: number, packet = "3"): Promise<void> {
  for (const end = performance.now() + waitMs; performance.now() < end;) {
    if ((await session.post(packet)).status === 400) return;
    await pause(50);
  }
  throw new Error(`The session is still there after ${waitMs} ms`);
}

const hostile: Record<string, (target: Target) => Promise<void>> = {
  "handshakes are hoarded by address, and forgotten in time": async (target) => {
    const statuses = [];
    for (let i = 0; i < 52; i++) statuses.push((await begin(target, "10.1.0.1")).status);
    deepStrictEqual(statuses, [...new Array(50).fill(200), 429, 429]);
    const { status, text } = await begin(target, "10.1.0.1");
    deepStrictEqual([status, JSON.parse(text).error.code], [429, "rate_limited"]);
    const socket = await RawClient.connect(target.port);
    await socket.write(
      toBytes(
        `GET ${PATH} HTTP/1.1\r\nHost: x\r\nx-client: 10.1.0.1\r\nUpgrade: websocket\r\n` +
          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
      ),
    );
    strictEqual((await socket.readAnswer()).status, 429);
    socket.close();
    strictEqual((await begin(target, "10.1.0.2")).status, 200);
    for (const end = performance.now() + 15_000; (await begin(target, "10.1.0.1")).status !== 200;) {
      ok(performance.now() < end, "The handshakes are never forgotten");
      await pause(100);
    }
  },

  "clients that go in the middle of the upgrade leave nothing behind": async (target) => {
    const headers = { "x-client": "10.1.0.3" };
    for (let i = 0; i < 300; i++) {
      const client = await RawClient.connect(target.port);
      const bytes = toBytes(handshake({ path: PATH, headers }));
      await client.write(i % 3 === 0 ? bytes.subarray(0, bytes.length - 2) : bytes);
      if (i % 3 === 1) await client.readHead();
      client.close();
    }
    for (const end = performance.now() + 15_000; (await begin(target, "10.1.0.3")).status !== 200;) {
      ok(performance.now() < end, "Their places are still taken");
      await pause(100);
    }
  },

  "long packets are too much in the end": async (target) => {
    await using socket = await PacketSocket.session(baseOf(target));
    socket.send(`40${JSON.stringify({ token: await signToken("long") })}`);
    const long = `421["list_rooms",{"limit":"${"a".repeat(1_000_000)}"}]`;
    let answered = 0; // one after the other: it is not their number that is too much
    for (; !socket.isClosed && answered < 150; answered++) {
      socket.send(long);
      while (!socket.isClosed && !String(await socket.next().catch(() => "")).startsWith("431["));
    }
    ok(answered < 150, "They are never too much");
  },

  "who was too much twice is kept out": async (target) => {
    const enter = async () => {
      const socket = await PacketSocket.session(baseOf(target));
      socket.send(`40${JSON.stringify({ token: await signToken("again") })}`);
      return socket;
    };
    for (let turn = 0; turn < 2; turn++) {
      await using socket = await enter();
      ok(String(await socket.next()).startsWith("40"));
      for (let i = 0; i < 2_000; i++) socket.send('42["no such command"]');
      while (!socket.isClosed) await socket.next().catch(() => {});
    }
    await using socket = await enter();
    const refused = String(await socket.next());
    ok(refused.startsWith("44"), refused);
    deepStrictEqual(JSON.parse(refused.slice(2)).data.code, "rate_limited");
  },

  "a session that is never polled ends with its heartbeat, though pongs are posted": async (target) => {
    await untilGone(await signedIn(target, "unpolled"), 8_000);
  },

  "attachments that do not come end the session": async (target) => {
    await using socket = await PacketSocket.session(baseOf(target));
    socket.send(`40${JSON.stringify({ token: await signToken("waiting") })}`);
    socket.send('452-["send_message",{"_placeholder":true,"num":0}]');
    socket.send(new Uint8Array(3));
    while (!socket.isClosed) await socket.next().catch(() => {});
  },

  "attachments that are too much together end the session": async (target) => {
    await using socket = await PacketSocket.session(baseOf(target));
    socket.send('4510-["send_message",{"_placeholder":true,"num":0}]');
    for (let i = 0; i < 5; i++) socket.send(new Uint8Array(300_000));
    await socket.untilClosed();
  },

  "a payload is counted while it comes": async (target) => {
    const session = await PollingSession.open(baseOf(target));
    const piece = toBytes("4".repeat(65_536));
    const body = new ReadableStream({ pull: (stream) => stream.enqueue(piece) });
    const posted = await fetch(session.url, { method: "POST", body }).catch(() => undefined);
    await posted?.body?.cancel();
    ok(posted === undefined || posted.status === 413, `${posted?.status}`); // or cut while it was sending
    await untilGone(session, 100);
  },

  "fragments without end are cut": async (target) => {
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => RawClient.open(target.port, { path: PATH })),
    );
    const more = frame({ opcode: OPCODE.continuation, fin: false, payload: new Uint8Array(60_000).fill(52) });
    await Promise.all(clients.map(async (client) => {
      await client.write(frame({ fin: false, payload: "4" }));
      for (let sent = 0; sent < 600 * MIB && await client.write(more); sent += more.length);
    }));
    await target.untilGone(clients, 5_000);
    clients.forEach((client) => client.close());
  },
};

Deno.test("hostile clients at the Socket.IO door are ended, and nobody else notices", async (t) => {
  await using target = await startTarget({
    CLIENT_ADDRESS_HEADER: "x-client",
    SOCKET_MAX_UNAUTHENTICATED: "500",
    SOCKET_PING_INTERVAL: "500",
    SOCKET_PING_TIMEOUT: "2000",
  });
  await using innocents = await target.innocents();
  await pause(300);
  const base = target.rss().now;
  target.forgetPeak();
  // side by side: most of them wait
  const steps = Object.entries(hostile).map(([name, attack]) =>
    t.step({ name, fn: () => attack(target), ...BESIDE })
  );
  ok((await Promise.all(steps)).every(Boolean));
  const grown = target.rss().peak - base;
  ok(grown < RSS_MARGIN_BYTES, `${grown / MIB} MiB above the base`);
  await innocents.requireUnharmed();
  target.requireNoFaults();
});

Deno.test("a client that does not read, or does not poll, is closed as a slow consumer; nobody else notices", async () => {
  const length = 60_000;
  await using target = await startTarget({ CHAT_MAX_MESSAGE_LENGTH: String(length) });
  await using innocents = await target.innocents();
  const roomId = await target.room("writer");
  const writer = await target.socket("writer");
  const deaf = await RawClient.connect(target.port);
  const key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
  await deaf.write(toBytes(
    `GET ${PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n${key}\r\n\r\n`,
  ));
  strictEqual((await deaf.readHead()).status, 101);
  await deaf.write(textFrame(`40${JSON.stringify({ token: await signToken("deaf") })}`));
  const unpolled = await signedIn(target, "unpolled");
  await pause(300);
  await deaf.write(textFrame(`421["join_room",{"roomId":"${roomId}"}]`));
  await unpolled.send(`421["join_room",{"roomId":"${roomId}"}]`);
  const base = target.rss().now;
  const slow = () => target.events("socket.closing").filter(({ reason }) => reason === "slow_consumer");
  for (let turn = 0; turn < 400 && slow().length < 2; turn++) {
    const content = "a".repeat(length);
    await Promise.all(Array.from({ length: 8 }, () => writer.call("send_message", { roomId, content })));
  }
  strictEqual(slow().length, 2);
  for (const { queuedBytes } of slow()) ok(Number(queuedBytes) < 2 * MIB, `${queuedBytes} queued`);
  await target.untilGone([deaf], 5_000);
  // what was queued, and the end, are there for it if it comes at once; then it is forgotten
  ok((await unpolled.poll()).text.endsWith("\x1e1"));
  await unpolled.requireGone();
  ok(target.rss().peak < base + RSS_MARGIN_BYTES);
  await innocents.requireUnharmed();
  deaf.close();
  await writer.close();
  target.requireNoFaults();
});
