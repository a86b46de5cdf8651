/** Engine.IO 4: the end of a session, whoever wants it and in whatever state. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Echo, Rules } from "./echo_server.ts";
import { PacketSocket } from "./packet_socket.ts";
import { address, ask, openPacketOf, PollingSession, SEPARATOR } from "./polling.ts";

const onBothPaths =
  (check: (base: string) => Promise<void>) => async ({ engine, socket }: Echo): Promise<void> => {
    await check(engine);
    await check(socket);
  };

export const closeRules: Rules = {
  "by polling: a close packet ends the session, and the GET that waits gets a noop": onBothPaths(
    async (base) => {
      const session = await PollingSession.open(base);
      const polled = session.poll();
      await sleep(20);
      strictEqual((await session.post("1")).status, 200);
      const { status, text } = await polled;
      deepStrictEqual({ status, text }, { status: 200, text: "6" });
      await session.requireGone();
    },
  ),

  "by polling: a close packet ends the session where nobody waits": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    strictEqual((await session.post("1")).status, 200);
    await session.requireGone();
  }),

  "by polling: what was said before the close packet is no reason to stay": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.post(["4hello", "1", "4late"].join(SEPARATOR));
    await session.requireGone();
  },

  "by WebSocket: a close packet closes the socket": {
    strict: onBothPaths(async (base) => {
      await using socket = await PacketSocket.session(base);
      socket.send("1");
      await socket.untilClosed();
    }),
  },

  "by WebSocket: a socket that goes takes its session with it": async ({ engine }) => {
    const opened = new PacketSocket(address(engine, { transport: "websocket" }));
    const { sid } = openPacketOf(await opened.next());
    await opened[Symbol.asyncDispose]();
    strictEqual((await ask(address(engine, { transport: "polling", sid }))).status, 400);
    await using again = await PacketSocket.beside(engine, sid);
    await again.untilClosed();
  },

  "a session that has ended takes no POST": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send("1");
    strictEqual((await session.post("4hello")).status, 400);
  },

  "a session that has ended is not upgraded": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send("1");
    await using socket = await PacketSocket.beside(engine, session.sid);
    await socket.untilClosed();
  },

  "a close packet during an upgrade closes both": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.beside(engine, session.sid);
    await socket.probe();
    await session.send("1");
    await socket.untilClosed();
    await session.requireGone();
  },

  "a close packet after an upgrade closes the socket": {
    strict: async ({ engine }) => {
      const session = await PollingSession.open(engine);
      await using socket = await PacketSocket.upgraded(engine, session.sid);
      socket.send("1");
      await socket.untilClosed();
      await session.requireGone();
    },
  },
};
