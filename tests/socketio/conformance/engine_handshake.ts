/** Engine.IO 4: how a session begins, what refuses to begin, and what browsers ask before they dare to. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { type Echo, MAX_PAYLOAD, PING_INTERVAL_MS, PING_TIMEOUT_MS, type Rules } from "./echo_server.ts";
import { PacketSocket } from "./packet_socket.ts";
import { address, ask, type OpenPacket, openPacketOf, PollingSession } from "./polling.ts";

function requireOpenPacket(open: OpenPacket, upgrades: string[]): void {
  deepStrictEqual({ ...open, sid: typeof open.sid }, {
    sid: "string",
    upgrades,
    pingInterval: PING_INTERVAL_MS,
    pingTimeout: PING_TIMEOUT_MS,
    maxPayload: MAX_PAYLOAD,
  });
}

async function requireStatus(base: string, query: Record<string, string | undefined>): Promise<void> {
  strictEqual((await ask(address(base, query))).status, 400, JSON.stringify(query));
}

/** Closed before it says anything. */
async function requireNoSocket(base: string, query: Record<string, string | undefined>): Promise<void> {
  await using socket = new PacketSocket(address(base, query));
  await socket.untilClosed();
  await socket.next().then((packet) => ok(false, `It said ${packet}`), () => {});
}

const bothPaths =
  (check: (base: string) => Promise<void>) => async ({ engine, socket }: Echo): Promise<void> => {
    await check(engine);
    await check(socket);
  };

export const handshakeRules: Rules = {
  "by polling: 200 and an open packet with sid, upgrades, pingInterval, pingTimeout, maxPayload": bothPaths(
    async (base) => {
      const { status, text } = await ask(address(base, { transport: "polling" }));
      strictEqual(status, 200);
      requireOpenPacket(openPacketOf(text), ["websocket"]);
    },
  ),

  "by WebSocket: an open packet, which has no more upgrades to offer": bothPaths(async (base) => {
    await using socket = new PacketSocket(address(base, { transport: "websocket" }));
    requireOpenPacket(openPacketOf(await socket.next()), []);
  }),

  "every session has a sid of its own": async ({ engine }) => {
    const sessions = await Promise.all(Array.from({ length: 20 }, () => PollingSession.open(engine)));
    strictEqual(new Set(sessions.map(({ sid }) => sid)).size, 20);
  },

  "an open packet is plain text that nobody may keep": async ({ engine }) => {
    const { headers } = await ask(address(engine, { transport: "polling" }));
    match(headers.get("content-type") ?? "", /^text\/plain; *charset=utf-8$/i);
    match(headers.get("cache-control") ?? "", /no-store/);
  },

  "by polling: EIO is mandatory": bothPaths((base) =>
    requireStatus(base, { EIO: undefined, transport: "polling" })
  ),
  "by polling: EIO=abc is refused": bothPaths((base) =>
    requireStatus(base, { EIO: "abc", transport: "polling" })
  ),
  "by polling: EIO=3, another version of the protocol, is refused": bothPaths((base) =>
    requireStatus(base, { EIO: "3", transport: "polling" })
  ),
  "transport is mandatory": bothPaths((base) => requireStatus(base, {})),
  "an unknown transport is refused": bothPaths((base) => requireStatus(base, { transport: "abc" })),
  "names that every object has are no transports": async ({ engine }) => {
    for (const transport of ["constructor", "__proto__", "toString"]) {
      await requireStatus(engine, { transport });
    }
  },
  "transport=websocket without an upgrade of HTTP is refused": bothPaths((base) =>
    requireStatus(base, { transport: "websocket" })
  ),

  "by WebSocket: EIO is mandatory": bothPaths((base) =>
    requireNoSocket(base, { EIO: undefined, transport: "websocket" })
  ),
  "by WebSocket: EIO=abc is refused": bothPaths((base) =>
    requireNoSocket(base, { EIO: "abc", transport: "websocket" })
  ),
  "by WebSocket: EIO=3 is refused": bothPaths((base) =>
    requireNoSocket(base, { EIO: "3", transport: "websocket" })
  ),
  "by WebSocket: transport is mandatory": bothPaths((base) => requireNoSocket(base, {})),
  "by WebSocket: an unknown transport is refused": bothPaths((base) =>
    requireNoSocket(base, { transport: "abc" })
  ),
  "by WebSocket: transport=polling is refused": bothPaths((base) =>
    requireNoSocket(base, { transport: "polling" })
  ),

  "only GET begins a session": bothPaths(async (base) => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "HEAD"]) {
      const { status } = await ask(address(base, { transport: "polling" }), { method });
      strictEqual(status, 400, method);
    }
  }),

  "other parameters of the query are nobody's business": async ({ engine }) => {
    const { status, text } = await ask(address(engine, { transport: "polling", t: "abc", b64: "1", x: "" }));
    strictEqual(status, 200);
    requireOpenPacket(openPacketOf(text), ["websocket"]);
  },

  "a browser's page from anywhere may read the answers, and refusals too": bothPaths(async (base) => {
    const headers = { origin: "https://elsewhere.example" };
    for (const transport of ["polling", "abc"]) {
      const answer = await ask(address(base, { transport }), { headers });
      strictEqual(answer.headers.get("access-control-allow-origin"), "*", transport);
    }
    const session = await PollingSession.open(base);
    const posted = await session.post("6", headers);
    strictEqual(posted.headers.get("access-control-allow-origin"), "*");
  }),

  "a preflight is answered without a session": bothPaths(async (base) => {
    const { status, headers } = await ask(address(base, { transport: "polling" }), {
      method: "OPTIONS",
      headers: {
        "origin": "https://elsewhere.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
      },
    });
    ok(status === 204 || status === 200, `${status}`);
    strictEqual(headers.get("access-control-allow-origin"), "*");
    match(headers.get("access-control-allow-methods") ?? "", /POST/);
    match(headers.get("access-control-allow-headers") ?? "", /content-type/i);
  }),
};
