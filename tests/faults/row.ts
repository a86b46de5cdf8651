/** A row of the matrix: load, a fault at a third of it, healing, judgement. One line is printed. */
import { setTimeout as sleep } from "node:timers/promises";
import { judge, type Verdict } from "./checker.ts";
import { gather, latencies } from "./evidence.ts";
import type { NodeSlot } from "./node_slot.ts";
import { World, type WorldOptions } from "./world.ts";

export interface Row {
  /** As in the matrix. */
  name: string;
  options?: Partial<WorldOptions>;
  /** Before there is a world. */
  prepare?: () => Promise<void>;
  /** Breaks something, waits, mends it; settles then. */
  fault: (world: World) => Promise<void>;
  /** What this row expects beside the invariants; throws. */
  expect?: (world: World) => void | Promise<void>;
}

export interface RowResult extends Verdict {
  name: string;
  p50Ms: number;
  p99Ms: number;
  healMs: number;
  growthMiB: number;
  resets: number;
  /** Until who was removed at the moment of the fault knew of it, after the fault; undefined: nobody was. */
  removalMs: number | undefined;
  /** Until every node counted all clients as online, seen at the end of the row. */
  presenceMs: number | undefined;
}

export interface Load {
  seconds: number;
  seed: number;
  /** Less than everybody gets, where it is known that waiting does not help. */
  healMs?: number;
}

/** Two shared cores carry nodes, Redis, Postgres and all clients. */
export const PER_SECOND = 10;
const HEAL_MS = 10_000;
const REMOVAL_MS = 5_000;
/** A lease, a renewal of it, and the grace of who went. */
const PRESENCE_MS = 20_000;

export async function runRow(row: Row, load: Load): Promise<RowResult> {
  await row.prepare?.();
  await using world = await World.start({
    ...{ nodes: 3, perSecond: PER_SECOND, seed: load.seed },
    ...row.options,
  });
  for (const node of world.nodes) node.watchMemory();
  const beganAt = performance.now();
  for (const publisher of world.publishers) publisher.begin();
  await sleep(load.seconds * 1000 / 3);
  for (const node of world.nodes) node.beginFault();
  const removed = world.receivers[1]; // of the node that most faults are about
  world.remove(removed, removed?.logs.keys().next().value);
  await row.fault(world);
  const healedAt = performance.now();
  const loadEnds = Math.max(beganAt + load.seconds * 1000, healedAt + load.seconds * 1000 / 3);
  await sleep(loadEnds - performance.now());
  for (const publisher of world.publishers) publisher.stop();
  await settle(world, loadEnds + (load.healMs ?? HEAL_MS));
  await world.removed();
  for (const node of world.nodes) await node.stopWatching();
  const evidence = await gather(world, healedAt);
  const verdict = judge(evidence);
  const presenceMs = await presenceMsSince(world, healedAt);
  if (presenceMs === undefined) verdict.violations.push("presence: nodes do not agree on who is online");
  const knownMs = removalMs(world, healedAt);
  if ((knownMs ?? 0) > REMOVAL_MS) {
    verdict.violations.push(`I7: who was removed knew of it after ${knownMs} ms`);
  }
  await row.expect?.(world);
  const times = latencies(world);
  const at = (share: number): number => Math.round(times[Math.floor(share * (times.length - 1))] ?? 0);
  return {
    ...verdict,
    name: row.name,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    healMs: Math.round(evidence.healMs),
    growthMiB: Math.round(Math.max(...world.nodes.map(({ growthMiB }) => growthMiB))),
    resets: world.receivers.reduce((sum, { resets }) => sum + resets, 0),
    removalMs: knownMs,
    presenceMs,
  };
}

/** Until everybody has everything, or the time is over: then the judge says who lacks what. */
async function settle(world: World, end: number): Promise<void> {
  const isSettled = (): boolean => {
    if (world.publishers.some(({ unacked }) => unacked > 0)) return false;
    const inRoom = new Map<string, number>();
    for (const { sent } of world.publishers) {
      for (const { roomId } of sent) inRoom.set(roomId, (inRoom.get(roomId) ?? 0) + 1);
    }
    return world.receivers.every(({ logs }) =>
      [...logs.values()].every((log) =>
        log.goneAt !== undefined || log.shown.length >= (inRoom.get(log.roomId) ?? 0)
      )
    );
  };
  while (!isSettled() && performance.now() < end) await sleep(50);
}

async function presenceMsSince(world: World, healedAt: number): Promise<number | undefined> {
  const users = world.publishers.length + world.receivers.length;
  const agrees = async (node: NodeSlot): Promise<boolean> => {
    const { body } = await world.owner(node.index).get("/status/online-count");
    return body.count === users;
  };
  const alive = world.nodes.filter(({ wasEnded }) => !wasEnded);
  const end = performance.now() + PRESENCE_MS;
  while (performance.now() < end) {
    const agreed = await Promise.all(alive.map((node) => agrees(node).catch(() => false)));
    if (agreed.every(Boolean)) return Math.round(performance.now() - healedAt);
    await sleep(200);
  }
  return undefined;
}

function removalMs(world: World, healedAt: number): number | undefined {
  const [removal] = world.removals;
  const goneAt = removal?.receiver.logs.get(removal.roomId)?.goneAt;
  return goneAt === undefined ? undefined : Math.round(Math.max(0, goneAt - healedAt));
}

export function lineOf(result: RowResult): string {
  const { name, sent, acked, delivered, lost, repeated, reordered, p50Ms, p99Ms, healMs, growthMiB } = result;
  return `${name}: sent ${sent}, acked ${acked}, delivered ${delivered}, lost ${lost}, repeated ${repeated}, ` +
    `reordered ${reordered}, p50 ${p50Ms} ms, p99 ${p99Ms} ms, healed in ${healMs} ms, RSS +${growthMiB} MiB, ` +
    `${result.resets} resets, removal known after ${result.removalMs ?? "?"} ms`;
}
