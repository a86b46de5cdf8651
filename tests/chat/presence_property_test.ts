/**
 * Whatever devices come, go, act and rest, on which of two nodes, and whatever their user chooses meanwhile: once things
 * have settled, the user is shown as what the devices that live come to, to whoever asks and to whoever watches.
 */
import { deepStrictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { DoorClient, Ear, Json } from "../helpers/doors.ts";
import { TwoNodes } from "../helpers/two_nodes.ts";
import { signedIn } from "../suites/door_suite.ts";

const RUNS = Math.ceil(8 * Number(Deno.env.get("CHAT_PROPERTY_RUNS") ?? 1));
const SETTLES_MS = 20_000;
const IDLE_MS = 600;

const op = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ is: fc.constant("come" as const), node: fc.nat(1), isActive: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ is: fc.constant("go" as const), device: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant("act" as const), device: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant("wait" as const), ms: fc.nat(250) }) },
);
const choice = fc.record({
  node: fc.nat(1),
  status: fc.constantFrom("online", "away", "busy", "invisible"),
  text: fc.option(fc.constantFrom("lunch", "exam")),
});
/** What is in a step happens at once. */
const steps = fc.array(
  fc.record({ ops: fc.array(op, { maxLength: 4 }), choice: fc.option(choice, { nil: undefined, freq: 3 }) }),
  { minLength: 1, maxLength: 6 },
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

class Play implements AsyncDisposable {
  readonly #nodes: TwoNodes;
  readonly #user: string;
  readonly #rest: readonly [DoorClient, DoorClient];
  readonly #devices = new Set<{ ear: Ear; isActive: boolean }>();
  #chosen: Json = { status: "online", customStatus: null };

  constructor(nodes: TwoNodes, user: string, rest: [DoorClient, DoorClient]) {
    this.#nodes = nodes;
    this.#user = user;
    this.#rest = rest;
  }

  async step({ ops, choice: chosen }: { ops: Op[]; choice: Json }): Promise<void> {
    const devices = [...this.#devices];
    await Promise.all([...ops.map((each) => this.#play(each, devices)), this.#choose(chosen)]);
  }

  async #play(op: Op, devices: { ear: Ear; isActive: boolean }[]): Promise<void> {
    if (op.is === "wait") return await sleep(op.ms);
    if (op.is === "come") {
      const ear = await this.#nodes.ear(op.node, this.#user);
      this.#devices.add({ ear, isActive: op.isActive });
      return;
    }
    const device = devices[op.device];
    if (device === undefined || !this.#devices.has(device)) return;
    if (op.is === "act") return await device.ear.call("list_rooms").then(() => {}, () => {}); // it may go meanwhile
    this.#devices.delete(device);
    await device.ear.socket.close();
  }

  async #choose(chosen: Json): Promise<void> {
    if (chosen === undefined) return;
    const customStatus = chosen.text === null ? null : { text: chosen.text };
    await this.#rest[chosen.node as 0 | 1].call("update_status", { status: chosen.status, customStatus });
    this.#chosen = { status: chosen.status, customStatus: chosen.text };
  }

  /** As others see the user, and as they see themselves. */
  expected(): { others: Json; self: Json; counts: boolean } {
    const { status, customStatus } = this.#chosen;
    const active = [...this.#devices].some(({ isActive }) => isActive);
    const self = this.#devices.size === 0
      ? "offline"
      : status !== "online"
      ? status
      : active
      ? "online"
      : "away";
    const counts = self !== "offline" && self !== "invisible";
    return {
      self: [self, counts, customStatus],
      others: counts ? [self, true, customStatus] : ["offline", false, null],
      counts,
    };
  }

  /** What an active device does by being used. */
  async beActive(): Promise<void> {
    for (const { ear, isActive } of this.#devices) if (isActive) await ear.call("list_rooms", { limit: 1 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#devices].map(({ ear }) => ear.socket.close()));
  }
}

const shape = ({ status, isOnline, customStatus }: Json) => [status, isOnline, customStatus?.text ?? null];

Deno.test("presence is what the live devices of all nodes come to, once things have settled", async () => {
  await using nodes = await TwoNodes.start({
    CHAT_ONLINE_STATUS_TIMEOUT: `${IDLE_MS}`,
    CHAT_PRESENCE_GRACE: "100",
  });
  const watchers = [await nodes.ear(0, "wim"), await nodes.ear(1, "wim")];
  let run = 0;
  const property = fc.asyncProperty(steps, async (each) => {
    const user = `ada${++run}`;
    const rest: [DoorClient, DoorClient] = [
      await signedIn(nodes.doors(0).rest, user),
      await nodes.rest(1, user),
    ];
    for (const watcher of watchers) await watcher.call("watch_presence", { userIds: [user] });
    await using play = new Play(nodes, user, rest);
    const asked = async (): Promise<Json> => ({
      self: shape((await rest[run % 2]?.call("user_status", { userId: user })).status),
      others: shape((await watchers[run % 2]?.call("user_status", { userId: user })).status),
      watched: watchers.map((watcher) =>
        shape(
          watcher.events("status_updated").findLast(({ userId }) => userId === user) ??
            { status: "offline", isOnline: false },
        )
      ),
      online: (await watchers[0]?.call("online_count")).count,
    });
    for (const step of each) await play.step(step);
    const { self, others, counts } = play.expected();
    const expected = { self, others, watched: [others, others], online: 1 + Number(counts) };
    const deadline = performance.now() + SETTLES_MS;
    let seen: Json;
    let held = 0;
    // it has to stay so: what is idle falls asleep, what is active does not
    while (held < 3 && performance.now() < deadline) {
      await play.beActive();
      seen = await asked();
      held = JSON.stringify(seen) === JSON.stringify(expected) ? held + 1 : 0;
      await sleep(held > 0 ? 80 : 30);
    }
    deepStrictEqual(seen, expected);
  });
  await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
});
