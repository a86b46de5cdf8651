/** Clients: one that does not read, links that flap, links that are dead and do not say so. */
import { ok } from "node:assert/strict";
import { brokenNode, lasts, type MatrixRow } from "./matrix_row.ts";
import { until } from "./until.ts";

/** Buffers of the kernel take some ten MiB before the node's own queue grows. */
const CLOSED_WITHIN_MS = 40_000;

export const clientRows: MatrixRow[] = [
  {
    name: "F9 one client of 12 stops to read",
    isBounded: true,
    options: { proxies: { oneClient: true }, busyRoom: { perSecond: 40, length: 4_900 } },
    fault: async (world) => {
      world.lonely.link.isPatient = true;
      world.lonelyProxy?.set("stall");
      const isClosed = () => brokenNode(world).lines.some((line) => line.includes('"slow_consumer"'));
      await until(isClosed, CLOSED_WITHIN_MS, "the close of the slow consumer");
      world.lonely.link.isPatient = false;
      world.lonelyProxy?.set("pass");
    },
    expect: (world) => {
      const others = world.receivers.filter((receiver) => receiver !== world.lonely);
      ok(others.every(({ link }) => link.lives === 1), "Somebody else was closed");
    },
  },
  {
    name: "F10 all client links cut each 2 s, three times",
    isBounded: true,
    options: { proxies: { clients: true } },
    fault: async ({ nodes }) => {
      for (let turn = 0; turn < 3; turn++) {
        for (const { clientProxy } of nodes) clientProxy?.set("cut");
        await lasts(0.5);
        for (const { clientProxy } of nodes) clientProxy?.set("pass");
        await lasts(1.5);
      }
    },
    expect: ({ receivers }) => ok(receivers.every(({ link }) => link.lives >= 2)),
  },
  {
    name: "F10 all client links of a node half open for 8 s",
    isBounded: false,
    options: { proxies: { clients: true } },
    fault: async (world) => {
      brokenNode(world).clientProxy?.freezeLinks("hole");
      await lasts(8);
      brokenNode(world).clientProxy?.thawLinks();
    },
  },
];
