/** Engine.IO 4: from HTTP long-polling to WebSocket, with nothing lost, doubled or out of order. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { joinBytes, textFrame } from "../../helpers/raw_client.ts";
import type { Echo, Rules } from "./echo_server.ts";
import { openRaw, type Packet, PacketSocket } from "./packet_socket.ts";
import { address, PollingSession, SEPARATOR } from "./polling.ts";

const onBothPaths =
  (check: (base: string) => Promise<void>) => async ({ engine, socket }: Echo): Promise<void> => {
    await check(engine);
    await check(socket);
  };

/** The WebSocket that is not worth it, while polling goes on. */
async function requireGivenUp(session: PollingSession, socket: PacketSocket): Promise<void> {
  await socket.untilClosed();
  await session.requireAlive();
}

export const upgradeRules: Rules = {
  "a probe is answered, and an upgrade packet completes it": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.beside(engine, session.sid);
    await socket.probe();
    const { status, text } = await session.poll();
    deepStrictEqual({ status, text }, { status: 200, text: "6" });
    socket.send("5");
    socket.send("4hello");
    strictEqual(await socket.next(), "4hello");
  },

  "a GET that waits gets a noop when the probe comes": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    const polled = session.poll();
    await sleep(20);
    await using socket = await PacketSocket.beside(base, session.sid);
    await socket.probe();
    const { status, text } = await polled;
    deepStrictEqual({ status, text }, { status: 200, text: "6" });
  }),

  "probe and upgrade packet may come at once": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    await using socket = await PacketSocket.beside(base, session.sid);
    socket.send("2probe");
    socket.send("5");
    strictEqual(await socket.next(), "3probe");
    strictEqual((await session.poll()).status, 400);
  }),

  "a GET right behind them is refused": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    using client = await openRaw(address(base, { transport: "websocket", sid: session.sid }));
    await client.write(joinBytes(textFrame("2probe"), textFrame("5")));
    strictEqual((await session.poll()).status, 400);
  }),

  "a second WebSocket right behind them is closed": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    await using first = await PacketSocket.beside(base, session.sid);
    first.send("2probe");
    first.send("5");
    await using second = await PacketSocket.beside(base, session.sid);
    await second.untilClosed();
    strictEqual(first.isClosed, false);
  }),

  "binary messages go both ways after it": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.upgraded(engine, session.sid);
    socket.send(Uint8Array.of(1, 2, 3));
    deepStrictEqual(await socket.next(), Uint8Array.of(1, 2, 3));
  },

  "what was not polled before it comes by WebSocket": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send("4a", "4b", "bAQI=");
    await using socket = await PacketSocket.upgraded(engine, session.sid);
    socket.send("4c");
    deepStrictEqual(await socket.take(4), ["4a", "4b", Uint8Array.of(1, 2), "4c"]);
  },

  "while it is under way, nothing is lost, doubled or out of order": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const came: Packet[] = [];
    let posted = Promise.resolve(); // one POST at a time
    const post = (...packets: string[]) => posted = posted.then(() => session.send(...packets));
    let isPaused = false;
    const poll = async (): Promise<void> => {
      while (!isPaused) {
        const { status, text } = await session.poll();
        strictEqual(status, 200);
        const packets = text.split(SEPARATOR);
        if (packets.includes("2")) await post("3");
        came.push(...packets.filter((packet) => packet !== "6" && packet !== "2"));
      }
    };
    await using socket = await PacketSocket.beside(engine, session.sid);
    const polling = poll();
    try {
      await post("40", "41");
      socket.send("2probe");
      await post("42");
      strictEqual(await socket.next(), "3probe");
      await post("43", "44");
    } finally {
      isPaused = true; // as the client does: the last GET is waited for
      await polling;
    }
    await post("45", "46");
    socket.send("5");
    for (const packet of ["47", "48"]) socket.send(packet);
    while (came.length < 9) came.push(await socket.next());
    deepStrictEqual(came, Array.from({ length: 9 }, (_, i) => `4${i}`));
    await socket.requireAlive();
  },

  "polling is over after it, and the WebSocket goes on": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    await using socket = await PacketSocket.upgraded(base, session.sid);
    await session.requireGone();
    await sleep(50);
    strictEqual(socket.isClosed, false);
  }),

  "a POST after it is refused, and the WebSocket goes on": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.upgraded(engine, session.sid);
    strictEqual((await session.post("4late")).status, 400);
    await socket.requireAlive();
  },

  "a second WebSocket after it is closed, and the first goes on": onBothPaths(async (base) => {
    const session = await PollingSession.open(base);
    await using first = await PacketSocket.upgraded(base, session.sid);
    await using second = await PacketSocket.beside(base, session.sid);
    ok(second.isOpen, "It is to be accepted first");
    await second.untilClosed();
    await sleep(20);
    strictEqual(first.isClosed, false);
  }),

  "a second WebSocket during it is closed, and the first completes it": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using first = await PacketSocket.beside(engine, session.sid);
    await first.probe();
    await using second = await PacketSocket.beside(engine, session.sid);
    await second.untilClosed();
    first.send("5");
    await first.requireAlive();
  },

  "a second WebSocket of a session that began as one is closed, and the first goes on": async (
    { engine },
  ) => {
    await using first = new PacketSocket(`${engine}?EIO=4&transport=websocket`);
    const { sid } = JSON.parse(String(await first.next()).slice(1));
    await using second = await PacketSocket.beside(engine, sid);
    second.send("4hello");
    await second.untilClosed();
    await first.requireAlive();
  },

  "a WebSocket that begins with anything but a probe is closed, and polling goes on": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.beside(engine, session.sid);
    socket.send("4hello");
    await requireGivenUp(session, socket);
  },

  "a probe of other words is no probe": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.beside(engine, session.sid);
    socket.send("2hello");
    await requireGivenUp(session, socket);
  },

  "binary in place of a probe closes the WebSocket, and polling goes on": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.beside(engine, session.sid);
    socket.send(Uint8Array.of(53));
    await requireGivenUp(session, socket);
  },

  "after the probe only an upgrade packet will do": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.beside(engine, session.sid);
    await socket.probe();
    socket.send("4hello");
    await requireGivenUp(session, socket);
  },

  "an upgrade packet without a probe closes the WebSocket, and polling goes on": {
    strict: async ({ engine }) => {
      const session = await PollingSession.open(engine);
      await using socket = await PacketSocket.beside(engine, session.sid);
      socket.send("5");
      await requireGivenUp(session, socket);
    },
  },

  "a WebSocket that goes after its probe leaves the session to polling, which may try again": async (
    { engine },
  ) => {
    const session = await PollingSession.open(engine);
    await using left = await PacketSocket.beside(engine, session.sid);
    await left.probe();
    await left[Symbol.asyncDispose]();
    await session.requireAlive();
    await using socket = await PacketSocket.upgraded(engine, session.sid);
    await socket.requireAlive();
  },

  "an upgrade packet by polling means nothing": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send("5");
    await session.requireAlive();
  },

  "a WebSocket with an unknown sid is refused": onBothPaths(async (base) => {
    await using socket = await PacketSocket.beside(base, "unknown");
    await socket.untilClosed();
    strictEqual(socket.isOpen, false);
  }),
};
