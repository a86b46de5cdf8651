/** Engine.IO 4: the server asks whether the client lives, and lets go of one that does not say so. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Echo, PING_INTERVAL_MS, PING_TIMEOUT_MS, type Rules } from "./echo_server.ts";
import { PacketSocket } from "./packet_socket.ts";
import { PollingSession } from "./polling.ts";

/** Clocks of two processes, both of which round, and the time between one and the other. */
const ROUNDING_MS = 20;
const SLACK_MS = 50;

async function threeBeats(socket: PacketSocket): Promise<void> {
  for (let beat = 0; beat < 3; beat++) {
    strictEqual(await socket.next(), "2");
    socket.send("3");
  }
}

const onBothPaths =
  (check: (base: string) => Promise<void>) => async ({ engine, socket }: Echo): Promise<void> => {
    await Promise.all([check(engine), check(socket)]);
  };

export const heartbeatRules: Rules = {
  "by polling: a ping each pingInterval, as long as pongs come": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    for (let beat = 0; beat < 3; beat++) {
      const { status, text } = await session.poll();
      deepStrictEqual({ status, text }, { status: 200, text: "2" });
      await session.send("3");
    }
  }),

  "by WebSocket: a ping each pingInterval, as long as pongs come": onBothPaths(async (base) => {
    await using socket = await PacketSocket.session(base, { answersPings: false });
    await threeBeats(socket);
  }),

  "no ping before pingInterval is over": onBothPaths(async (base) => {
    const began = performance.now();
    await using socket = await PacketSocket.session(base, { answersPings: false });
    strictEqual(await socket.next(), "2");
    ok(performance.now() - began > PING_INTERVAL_MS - ROUNDING_MS);
  }),

  "by polling: a session without a pong is over after pingInterval and pingTimeout": onBothPaths(
    async (base) => {
      const session = await PollingSession.open(base);
      strictEqual((await session.poll()).text, "2");
      await sleep(PING_TIMEOUT_MS + SLACK_MS);
      await session.requireGone();
    },
  ),

  "by polling: a session that is never polled is over after pingInterval and pingTimeout": onBothPaths(
    async (base) => {
      const session = await PollingSession.open(base);
      await sleep(PING_INTERVAL_MS + PING_TIMEOUT_MS + SLACK_MS);
      await session.requireGone();
    },
  ),

  "by polling: a GET that waits when the pong is too late is answered": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    strictEqual((await session.poll()).text, "2");
    const { status, text } = await session.poll();
    ok(status === 400 || text === "1" || text === "6", `${status} ${text}`);
    await session.requireGone();
  }),

  "by WebSocket: a socket without a pong is closed after pingInterval and pingTimeout": onBothPaths(
    async (base) => {
      const began = performance.now();
      await using socket = await PacketSocket.session(base, { answersPings: false });
      await socket.untilClosed();
      ok(performance.now() - began > PING_INTERVAL_MS + PING_TIMEOUT_MS - ROUNDING_MS);
    },
  ),

  "the heartbeat goes on after an upgrade": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.upgraded(engine, session.sid, { answersPings: false });
    await threeBeats(socket);
  },

  "a ping before an upgrade is answered after it": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    strictEqual((await session.poll()).text, "2");
    await using socket = await PacketSocket.upgraded(engine, session.sid, { answersPings: false });
    socket.send("3");
    await threeBeats(socket);
  },

  "an upgraded socket without a pong is closed": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.upgraded(engine, session.sid, { answersPings: false });
    await socket.untilClosed();
  },
};
