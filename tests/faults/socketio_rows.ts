/**
 * Rows again with socket.io-client: by WebSocket, by polling, and by polling that upgrades, on every node. What the clients
 * do themselves is theirs: they come back, recover, and ask only for what they were not told to have.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import type { MatrixRow } from "./matrix_row.ts";
import type { World } from "./world.ts";
import { SocketIoLink } from "./socketio_link.ts";

const BOUNDED = "F1 kill -9 of a node, back after 1 s";
const FAULTS = /^F(1|2|3|4|5|10) /;

/** Faults that cost links, or nodes: some of the clients have to have recovered. */
const COSTS_LINKS = /^F(1|2|10) /;
const IS_DRAIN = /^F2 /;

const links = [
  SocketIoLink.by(["websocket"]),
  SocketIoLink.by(["polling"]),
  SocketIoLink.by(["polling", "websocket"]),
  SocketIoLink.by(["polling"]),
];

export function bySocketIo(rows: readonly MatrixRow[]): MatrixRow[] {
  return rows.filter(({ name }) => FAULTS.test(name)).map((row) => ({
    ...row,
    name: `${row.name}, by Socket.IO`,
    isBounded: row.name === BOUNDED,
    options: {
      ...row.options,
      links,
      // a dead link is noticed by its heartbeat, and healing has ten seconds
      env: { ...row.options?.env, SOCKET_PING_INTERVAL: "2000", SOCKET_PING_TIMEOUT: "2000" },
    },
    expect: async (world) => {
      if (IS_DRAIN.test(row.name)) expectTold(world);
      else await row.expect?.(world);
      const recoveries = world.receivers.reduce((sum, { link }) => sum + link.recoveries, 0);
      ok(recoveries > 0 || !COSTS_LINKS.test(row.name), "Nobody recovered");
    },
  }));
}

/**
 * As everybody else, but Socket.IO has no codes: the transport is closed, so that clients come back by themselves; whoever
 * polls may notice it by a POST that is refused.
 */
function expectTold({ publishers, receivers }: World): void {
  const links = [...publishers, ...receivers].map(({ link }) => link);
  const closes = links.flatMap((link) => link.closes);
  const drainings = links.reduce((sum, link) => sum + link.drainings, 0);
  ok(closes.length >= links.length / 3);
  deepStrictEqual(closes.filter(({ why }) => why !== "transport close" && why !== "transport error"), []);
  ok(drainings >= closes.length - 1, `${drainings} of ${closes.length} were told`); // one may just have come
}
