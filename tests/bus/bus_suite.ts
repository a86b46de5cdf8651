/** What every bus does, whatever carries it: run for the one in memory, for Redis and for a Redis cluster. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Bus } from "../../src/bus/bus.ts";
import { until } from "./until.ts";

/** Two nodes on one bus. */
export interface BusFixture extends AsyncDisposable {
  readonly one: Bus;
  readonly other: Bus;
}

/** What a bus is carried by, started once for its suite. */
export interface Carrier<F> {
  open(): Promise<F>;
}

export async function busSuite(t: Deno.TestContext, carrier: Carrier<BusFixture>): Promise<void> {
  const test = (what: string, body: (fixture: BusFixture) => Promise<void>) =>
    t.step(what, async () => {
      await using fixture = await carrier.open();
      await body(fixture);
    });

  await test("what is published after subscribe() has settled is heard, in order, by every node", async ({ one, other }) => {
    const heard: Record<"one" | "other", string[]> = { one: [], other: [] };
    await one.subscribe("room:a", (payload) => heard.one.push(payload));
    await other.subscribe("room:a", (payload) => heard.other.push(payload));
    const sent = Array.from({ length: 500 }, (_, i) => `{"n":${i}}`);
    for (const payload of sent) one.publish("room:a", payload);
    await until(() => heard.one.length === 500 && heard.other.length === 500, "all publications");
    deepStrictEqual(heard, { one: sent, other: sent });
  });

  await test("topics are apart, and payloads arrive as they are", async ({ one, other }) => {
    const heard = new Map<string, string[]>();
    const topics = ["room:a", "room:b", "inbox:ü:{x}", "inbox:a b\n*?", "presence"];
    for (const topic of topics) {
      await other.subscribe(topic, (payload) => heard.set(topic, [...heard.get(topic) ?? [], payload]));
    }
    const payloads = ["", "{}", "ü🕊\u0000\r\n", "a".repeat(300_000)];
    for (const topic of topics) for (const payload of payloads) one.publish(topic, topic + payload);
    await until(() => topics.every((topic) => heard.get(topic)?.length === payloads.length), "all of them");
    for (const topic of topics) deepStrictEqual(heard.get(topic), payloads.map((payload) => topic + payload));
  });

  await test("after unsubscribe() nothing more is heard, and a second subscribe() hears again", async ({ one, other }) => {
    const heard: string[] = [];
    await other.subscribe("room:a", (payload) => heard.push(`first ${payload}`));
    one.publish("room:a", "1");
    await until(() => heard.length === 1, "the first");
    other.unsubscribe("room:a");
    other.unsubscribe("room:a");
    const later: string[] = [];
    await other.subscribe("room:z", (payload) => later.push(payload));
    one.publish("room:a", "2");
    one.publish("room:z", "3");
    await until(() => later.length === 1, "what followed");
    await other.subscribe("room:a", (payload) => heard.push(`again ${payload}`));
    one.publish("room:a", "4");
    await until(() => heard.length === 2, "the last");
    deepStrictEqual(heard, ["first 1", "again 4"]);
  });

  await test("a thousand topics at once", async ({ one, other }) => {
    const heard = new Set<string>();
    const topics = Array.from({ length: 1_000 }, (_, i) => `room:${i}`);
    await Promise.all(topics.map((topic) => other.subscribe(topic, () => heard.add(topic))));
    for (const topic of topics) one.publish(topic, "x");
    await until(() => heard.size === topics.length, "all topics");
    ok(one.isUp && other.isUp);
    strictEqual(heard.size, 1_000);
  });
}
