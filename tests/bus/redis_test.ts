/** The bus and the leases over a real Redis, alone and as a cluster of three processes; and what they do when it breaks. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { UserShift } from "../../src/bus/presence_leases.ts";
import type { UserId } from "../../src/protocol/ids.ts";
import { RedisCluster, RedisServer } from "../helpers/redis.ts";
import { busSuite, type Carrier } from "./bus_suite.ts";
import { leasesSuite } from "./leases_suite.ts";
import { openPair, type RedisPair } from "./redis_fixture.ts";
import { until } from "./until.ts";

const SERVERS = {
  "redis": () => RedisServer.start(),
  "redis cluster": () => RedisCluster.start(),
} satisfies Record<string, () => Promise<AsyncDisposable & { url: string }>>;

for (const [name, start] of Object.entries(SERVERS)) {
  Deno.test(`${name} bus and leases`, async (t) => {
    await using server = await start();
    const carrier = <F extends object>(of: (pair: RedisPair) => F): Carrier<F & AsyncDisposable> => ({
      open: async () => {
        const pair = await openPair(server.url);
        return { ...of(pair), [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
      },
    });
    await busSuite(t, carrier(({ ends: [one, other] }) => ({ one: one.bus, other: other.bus })));
    await leasesSuite(
      t,
      carrier(({ ends: [one, other] }) => ({ nodes: [one.leases, other.leases] as const })),
    );
  });
}

Deno.test("redis bus: while Redis is away nothing waits or throws; afterwards it tells of the gap and sends the last of each topic", async () => {
  await using server = await RedisServer.start();
  await using pair = await openPair(server.url);
  const [one, other] = pair.ends.map(({ bus }) => bus) as [
    typeof pair.ends[0]["bus"],
    typeof pair.ends[0]["bus"],
  ];
  const heard: string[] = [];
  const gaps: (readonly string[] | undefined)[] = [];
  other.onGap((topics) => gaps.push(topics));
  await other.subscribe("room:a", (payload) => heard.push(payload));
  await server.kill();
  await until(() => !one.isUp && !other.isUp, "both to notice");
  const started = performance.now();
  await other.subscribe("room:b", (payload) => heard.push(payload));
  for (let i = 0; i < 20_000; i++) one.publish("room:a", `a${i}`);
  one.publish("room:b", "b");
  one.publish("room:b", "fleeting", { fleeting: true });
  ok(performance.now() - started < 2_000);
  gaps.length = 0;
  await server.restart();
  await until(() => one.isUp && other.isUp && heard.length >= 2, "what was kept");
  deepStrictEqual(heard.toSorted(), ["a19999", "b"]);
  deepStrictEqual(gaps, [undefined]);
  one.publish("room:a", "again");
  await until(() => heard.length === 3, "what follows");
});

Deno.test("redis bus: a Redis that stands still is noticed, and found again", async () => {
  await using server = await RedisServer.start();
  await using pair = await openPair(server.url);
  const [one, other] = [pair.ends[0].bus, pair.ends[1].bus];
  const heard: string[] = [];
  await other.subscribe("room:a", (payload) => heard.push(payload));
  server.pause();
  await until(() => !one.isUp && !other.isUp, "both to notice", 15_000);
  server.resume();
  await until(() => one.isUp && other.isUp, "both to be back");
  one.publish("room:a", "back");
  await until(() => heard.includes("back"), "what follows");
});

Deno.test("redis leases: after FLUSHALL every node says again what it has to say; a node that died is taken back by who survives", async () => {
  await using server = await RedisServer.start();
  await using pair = await openPair(server.url);
  const [one, other] = pair.ends.map(({ leases }) => leases) as [
    typeof pair.ends[0]["leases"],
    typeof pair.ends[0]["leases"],
  ];
  const users = Array.from({ length: 450 }, (_, i) => `user ${i}` as UserId);
  await Promise.all(users.map((user) => one.set(user, "online")));
  await other.set("both" as UserId, "away");
  await one.set("both" as UserId, "online");
  await one.set("hidden" as UserId, "invisible");
  strictEqual(await other.count(), 451);

  await server.command("FLUSHALL");
  await until(async () => await other.count() === 451, "all to be there again");
  strictEqual((await other.statesOf(["both" as UserId])).get("both" as UserId), "online");

  const reaped: UserShift[] = [];
  other.onReaped((shifts) => void reaped.push(...shifts));
  await one[Symbol.asyncDispose](); // no word of farewell: what it said stays until its lease ends
  strictEqual(await other.count(), 451);
  await until(async () => await other.count() === 1, "the dead node's users to be gone", 20_000);
  const shifts = new Map(reaped.map(({ userId, before, after }) => [userId, [before, after]]));
  strictEqual(reaped.length, shifts.size);
  deepStrictEqual(shifts.get("both" as UserId), ["online", "away"]);
  deepStrictEqual(shifts.get("hidden" as UserId), ["invisible", undefined]);
  deepStrictEqual(
    users.filter((user) => shifts.get(user)?.[0] !== "online" || shifts.get(user)?.[1] !== undefined),
    [],
  );
  deepStrictEqual([...await other.statesOf(["both", "hidden", "user 7"] as UserId[])], [["both", "away"]]);
});

Deno.test("redis leases: while Redis is away a node knows its own users, and says afterwards what changed", async () => {
  await using server = await RedisServer.start();
  await using pair = await openPair(server.url);
  const [one, other] = [pair.ends[0].leases, pair.ends[1].leases];
  const [ada, bob, eve] = ["ada", "bob", "eve"] as UserId[] as [UserId, UserId, UserId];
  for (const user of [ada, bob]) await one.set(user, "online");
  const paused = server.pid;
  await server.kill();
  ok(paused > 0);
  await until(() => !pair.ends[0].bus.isUp, "the loss to be noticed");
  deepStrictEqual(await one.set(ada, "busy"), { before: "online", after: "busy" });
  deepStrictEqual(await one.set(bob, undefined), { before: "online", after: undefined });
  await one.set(eve, "away");
  strictEqual(await one.count(), 2);
  strictEqual(await other.count(), 0);
  await server.restart();
  await until(async () => await other.count() === 2, "the word of the other");
  deepStrictEqual([...await other.statesOf([ada, bob, eve])], [[ada, "busy"], [eve, "away"]]);
});
