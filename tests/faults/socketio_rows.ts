/**
 * Rows again with socket.io-client: by WebSocket, by polling, and by polling that upgrades, on every node. What the clients
 * do themselves is theirs: they come back, recover, and ask only for what they were not told to have.
 */
import { ok } from "node:assert/strict";
import type { MatrixRow } from "./matrix_row.ts";
import { SocketIoLink } from "./socketio_link.ts";

const BOUNDED = "F1 kill -9 of a node, back after 1 s";
const FAULTS = /^F(1|3|4|5|10) /;

/** Faults that cost links, or nodes: some of the clients have to have recovered. */
const COSTS_LINKS = /^F(1|10) /;

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
      await row.expect?.(world);
      const recoveries = world.receivers.reduce((sum, { link }) => sum + link.recoveries, 0);
      ok(recoveries > 0 || !COSTS_LINKS.test(row.name), "Nobody recovered");
    },
  }));
}
