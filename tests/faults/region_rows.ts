/** Two regions: one node beside Postgres and Redis, two far from them, which are cut off together. */
import { ok, strictEqual } from "node:assert/strict";
import type { Mode } from "./fault_proxy.ts";
import { brokenNode, lasts, type MatrixRow } from "./matrix_row.ts";
import type { World } from "./world.ts";

const FAR = [1, 2];
const ROUND_TRIP_MS = 150;
/** A send is tried for so long before it is refused. */
const REFUSED_S = 5;

const partedRow = (seconds: number): MatrixRow => ({
  name: `F17 a region of two nodes without Postgres and Redis for ${seconds} s`,
  isBounded: false,
  options: { far: { nodes: FAR, roundTripMs: ROUND_TRIP_MS } },
  fault: async (world) => {
    setFar(world, ["postgresProxy", "redisProxy"], "hole");
    await lasts(seconds - REFUSED_S);
    await expectRefusal(world);
    setFar(world, ["postgresProxy", "redisProxy"], "pass");
  },
});

/** Each region stores what it is given, and neither hears of the other's. */
const unheardRow = (seconds: number): MatrixRow => ({
  name: `F17 a region of two nodes without Redis for ${seconds} s`,
  isBounded: false,
  options: { far: { nodes: FAR, roundTripMs: ROUND_TRIP_MS } },
  fault: async (world) => {
    setFar(world, ["redisProxy"], "hole");
    const from = performance.now();
    await lasts(seconds);
    const acked = world.publishers.filter(({ sent }) =>
      sent.some(({ ack }) => (ack?.at ?? 0) > from + 1_000)
    );
    strictEqual(acked.length, world.publishers.length);
    setFar(world, ["redisProxy"], "pass");
  },
});

function setFar({ nodes }: World, proxies: ("postgresProxy" | "redisProxy")[], mode: Mode): void {
  for (const node of FAR) for (const proxy of proxies) nodes[node]?.[proxy]?.set(mode);
}

/** A node that does not reach the primary says so, and that to come back helps. */
async function expectRefusal(world: World): Promise<void> {
  const { status, headers, body } = await world.owner(brokenNode(world).index).post("/messages", {
    roomId: world.rooms[0],
    content: "never stored",
    clientMessageId: "never",
  });
  strictEqual(status, 503);
  ok(Number(headers.get("retry-after")) > 0);
  strictEqual(body.error.retryable, true);
}

export const regionRows: MatrixRow[] = [partedRow(10), unheardRow(8)];
