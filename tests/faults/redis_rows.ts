/** Redis that dies, forgets, stands still or garbles; and a node that it is out of reach for. */
import { ok, strictEqual } from "node:assert/strict";
import type { Mode } from "./fault_proxy.ts";
import { randomOf } from "../helpers/faulty_bus.ts";
import { brokenNode, lasts, type MatrixRow } from "./matrix_row.ts";
import { type Mischief, publicationMangler } from "./resp_frames.ts";

const killedRow = (seconds: number, isBounded: boolean): MatrixRow => ({
  name: `F3 Redis killed, back empty after ${seconds} s`,
  isBounded,
  fault: async ({ redis }) => {
    await redis.kill();
    await lasts(seconds);
    await redis.restart();
  },
});

const serverRows: MatrixRow[] = [
  killedRow(2, true),
  killedRow(10, false),
  {
    name: "F3 FLUSHALL",
    isBounded: false,
    fault: async ({ redis }) => strictEqual(await redis.command("FLUSHALL"), "+OK"),
  },
];

const linkRow = (name: string, mode: Mode, seconds: number, isBounded: boolean): MatrixRow => ({
  name: `F4 one node and Redis: ${name} for ${seconds} s`,
  isBounded,
  options: { proxies: { redis: true } },
  fault: async (world) => {
    const { redisProxy } = brokenNode(world);
    redisProxy?.set(mode);
    await lasts(seconds);
    redisProxy?.set("pass");
  },
});

const linkRows: MatrixRow[] = [
  linkRow("refused", "cut", 4, true),
  linkRow("black hole", "hole", 4, false),
  linkRow("stalled", "stall", 4, false),
  linkRow("refused", "cut", 60, false),
  linkRow("black hole", "hole", 60, false),
  linkRow("stalled", "stall", 60, false),
  {
    name: "F5 one node publishes and hears nothing for 8 s",
    isBounded: false,
    options: { proxies: { redis: true } },
    fault: async (world) => {
      const { redisProxy } = brokenNode(world);
      redisProxy?.set("hole", "subscriber");
      await lasts(8);
      redisProxy?.set("pass");
    },
  },
];

const slowRow: MatrixRow = {
  name: "F4 one node and Redis: 300 ms late each way for 4 s",
  isBounded: false,
  options: { proxies: { redis: true } },
  fault: async (world) => {
    const { redisProxy } = brokenNode(world);
    if (redisProxy === undefined) throw new Error("There is no proxy");
    redisProxy.delayMs = 300;
    await lasts(4);
    redisProxy.delayMs = 0;
  },
};

/** Subscriptions end, publications go on. */
const subscriptionsRow: MatrixRow = {
  name: "F5 subscriptions of all nodes killed each 500 ms for 4 s",
  isBounded: false,
  fault: async ({ redis }) => {
    for (let turn = 0; turn < 8; turn++) {
      await redis.command("CLIENT KILL TYPE pubsub");
      await lasts(0.5);
    }
  },
};

const pausedRow = (seconds: number, isBounded: boolean): MatrixRow => ({
  name: `F11 Redis stands still for ${seconds} s`,
  isBounded,
  fault: async ({ redis }) => {
    redis.pause();
    await lasts(seconds);
    redis.resume();
  },
});

/** Between Redis and every node. */
function mischiefRow(isBounded: boolean): MatrixRow {
  const counts = { heard: 0, dropped: 0, doubled: 0, late: 0 };
  const mischief: Mischief = {
    ...{ isOn: false, drop: 0.1, double: 0.2, late: 0.2, lateMs: 200, counts },
    random: randomOf(16),
  };
  return {
    name: "F16 publications dropped (10 %), doubled and late (20 %) for 4 s",
    isBounded,
    options: { proxies: { redis: true }, mangler: () => publicationMangler(mischief) },
    fault: async () => {
      mischief.isOn = true;
      await lasts(4);
      mischief.isOn = false;
    },
    expect: () => ok(counts.dropped > 10 && counts.doubled > 10 && counts.late > 10, JSON.stringify(counts)),
  };
}

export const redisRows: MatrixRow[] = [
  ...serverRows,
  ...linkRows,
  slowRow,
  subscriptionsRow,
  pausedRow(5, false),
  pausedRow(60, false),
  mischiefRow(true),
];
