/** Socket.IO 5: connection to a namespace, and disconnection from it. */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CONNECT_TIMEOUT_MS, PING_INTERVAL_MS, type Rules } from "./echo_server.ts";
import { PacketSocket } from "./packet_socket.ts";
import { address, openPacketOf, PollingSession } from "./polling.ts";
import { closesTheConnection, SocketSession } from "./socket_session.ts";

const INVALID = '{"message":"Invalid namespace"}';

/** Sent first, it closes the connection. */
const isNoBeginning = (packet: string): (echo: { socket: string }) => Promise<void> => async (echo) => {
  await using session = await SocketSession.open(echo);
  session.send(packet);
  await session.untilClosed();
};

export const connectRules: Rules = {
  "CONNECT to the main namespace is answered with CONNECT and a sid": async (echo) => {
    await using session = await SocketSession.open(echo);
    await session.connect();
  },
  "CONNECT to the main namespace with a payload": async (echo) => {
    await using session = await SocketSession.open(echo);
    await session.connect("/", { token: "123" });
  },
  "CONNECT to a custom namespace": async (echo) => {
    await using session = await SocketSession.open(echo);
    await session.connect("/custom");
  },
  "CONNECT to a custom namespace with a payload": async (echo) => {
    await using session = await SocketSession.open(echo);
    await session.connect("/custom", { token: "abc" });
  },
  "CONNECT to a custom namespace may end without a comma": async (echo) => {
    await using session = await SocketSession.open(echo);
    session.send("0/custom");
    match(String(await session.next()), /^0\/custom,\{"sid":"[^"]+"\}$/);
  },
  "a payload comes through as it is": async (echo) => {
    await using session = await SocketSession.open(echo);
    await session.connect("/", { a: ["ä", null, { "3": [true, 1.5] }], "": "" });
  },

  "CONNECT by polling": async ({ socket }) => {
    const session = await PollingSession.open(socket);
    await session.send('40{"token":"123"}');
    const [connect = "", greeting = ""] = await session.take(2);
    match(connect, /^40\{"sid":"[^"]+"\}$/);
    strictEqual(greeting, '42["auth",{"token":"123"}]');
  },
  "a connection made by polling goes on after the upgrade": async ({ socket }) => {
    const session = await PollingSession.open(socket);
    await session.send("40");
    await session.take(2);
    await using upgraded = await PacketSocket.upgraded(socket, session.sid);
    upgraded.send('42["message",1]');
    strictEqual(await upgraded.next(), '42["message-back",1]');
  },
  "CONNECT by polling, answered by the WebSocket that follows": async ({ socket }) => {
    const session = await PollingSession.open(socket);
    await session.send("40");
    await using upgraded = await PacketSocket.upgraded(socket, session.sid);
    match(String(await upgraded.next()), /^40\{"sid":/);
    strictEqual(await upgraded.next(), '42["auth",{}]');
  },

  "an unknown namespace is answered with CONNECT_ERROR": async (echo) => {
    await using session = await SocketSession.open(echo);
    session.send("0/random");
    strictEqual(await session.next(), `4/random,${INVALID}`);
  },
  "namespaces that every object would have are unknown": async (echo) => {
    await using session = await SocketSession.open(echo);
    for (const name of ["/__proto__", "/constructor", "/custom/", "/Custom"]) {
      session.send(`0${name},`);
      strictEqual(await session.next(), `4${name},${INVALID}`);
    }
  },
  "a refusal of one namespace leaves the others": async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send("0/random,");
    strictEqual(await session.next(), `4/random,${INVALID}`);
    await session.requireAlive();
  },

  "several namespaces on one connection, each with a sid of its own": async (echo) => {
    await using session = await SocketSession.open(echo);
    const sids = [await session.connect(), await session.connect("/custom", { token: "abc" })];
    notStrictEqual(sids[0], sids[1]);
    await session.requireAlive();
  },
  "the sid of a namespace is not that of the transport": async ({ socket }) => {
    await using packets = new PacketSocket(address(socket, { transport: "websocket" }));
    const { sid } = openPacketOf(await packets.next());
    packets.send("40");
    const connected = JSON.parse(String(await packets.next()).slice(2));
    notStrictEqual(connected.sid, sid);
  },
  "sids are not the same for two connections": async (echo) => {
    await using one = await SocketSession.open(echo);
    await using other = await SocketSession.open(echo);
    notStrictEqual(await one.connect(), await other.connect());
  },

  "an EVENT before CONNECT closes the connection": isNoBeginning('2["message","hello"]'),
  "an ACK before CONNECT closes the connection": isNoBeginning('31["hello"]'),
  "a DISCONNECT before CONNECT closes the connection": isNoBeginning("1"),
  "a CONNECT_ERROR is the server's": isNoBeginning(`4${INVALID}`),
  "a packet of no known type closes the connection": isNoBeginning("abc"),
  "an empty message closes the connection": isNoBeginning(""),
  "a CONNECT payload that is no object closes the connection": async (echo) => {
    for (const packet of ['0"token"', "0[1]", "0null", "0true", "0{", "0/custom,[1]"]) {
      await isNoBeginning(packet)(echo);
    }
  },
  "a second CONNECT to the same namespace closes the connection": closesTheConnection("0"),
  "an EVENT to a namespace that is not connected closes the connection": closesTheConnection(
    '2/custom,["message"]',
  ),

  "DISCONNECT from a custom namespace leaves the main one": async (echo) => {
    await using session = await SocketSession.connected(echo);
    await session.connect("/custom");
    session.send("1/custom,");
    await session.requireAlive();
  },
  "DISCONNECT may end without a comma": async (echo) => {
    await using session = await SocketSession.connected(echo);
    await session.connect("/custom");
    session.send("1/custom");
    await session.requireAlive();
  },
  "DISCONNECT and CONNECT again make another socket": async (echo) => {
    await using session = await SocketSession.open(echo);
    const first = await session.connect();
    session.send("1");
    await sleep(20);
    notStrictEqual(await session.connect(), first);
    await session.requireAlive();
  },
  "an EVENT after DISCONNECT closes the connection": async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send("1");
    await sleep(20);
    session.send('2["message"]');
    await session.untilClosed();
  },
  "a DISCONNECT with a payload closes the connection": closesTheConnection("1[]"),
};

/** All of them wait. */
export const connectTimeRules: Rules = {
  "without CONNECT the connection is closed after the time for it, though pings are answered": async (
    echo,
  ) => {
    const began = performance.now();
    await using session = await SocketSession.open(echo);
    await session.untilClosed();
    ok(performance.now() - began > CONNECT_TIMEOUT_MS - 50, `${performance.now() - began} ms`);
  },
  "without CONNECT a polling session is over after the time for it": async ({ socket }) => {
    const session = await PollingSession.open(socket);
    const began = performance.now();
    while ((await session.poll()).text === "2") await session.post("3");
    ok(performance.now() - began > CONNECT_TIMEOUT_MS - 100, `${performance.now() - began} ms`);
    await session.requireGone();
  },
  "an unknown namespace does not stop the clock": async (echo) => {
    await using session = await SocketSession.open(echo);
    session.send("0/random,");
    await session.next();
    await session.untilClosed();
  },
  "CONNECT stops the clock": async (echo) => {
    await using session = await SocketSession.connected(echo);
    await sleep(CONNECT_TIMEOUT_MS + 100);
    await session.requireAlive();
  },

  "DISCONNECT leaves the connection to its heartbeat": async ({ socket }) => {
    await using packets = await PacketSocket.session(socket, { answersPings: false });
    packets.send("40");
    deepStrictEqual((await packets.take(2)).length, 2);
    packets.send("41");
    strictEqual(await packets.next(), "2");
    packets.send("3");
    await sleep(PING_INTERVAL_MS);
    strictEqual(await packets.next(), "2");
  },
};
