import { deepStrictEqual, match, ok } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Heartbeat } from "../../src/bus/heartbeat.ts";
import { until } from "./until.ts";

/** Beats go round three places; `dead` ones never come back. */
function start(dead: Set<string>): { sent: string[]; faults: Error[]; heartbeat: Heartbeat } {
  const [sent, faults]: [string[], Error[]] = [[], []];
  const heartbeat = new Heartbeat({
    everyMs: 5,
    silenceMs: 60,
    next: () => [["a", "b", "c"][sent.length % 3] ?? ""],
    send: (place) => {
      sent.push(place);
      if (!dead.has(place)) heartbeat.heard(place);
      return Promise.reject(new Error("told by others"));
    },
    onSilence: (fault) => faults.push(fault),
  });
  heartbeat.start();
  return { sent, faults, heartbeat };
}

Deno.test("Heartbeat goes round, and says nothing while all beats come", async () => {
  const { sent, faults, heartbeat } = start(new Set());
  await until(() => sent.length > 30, "ten rounds");
  heartbeat.stop();
  deepStrictEqual(sent.slice(0, 4), ["a", "b", "c", "a"]);
  deepStrictEqual(faults, []);
  const { length } = sent;
  await sleep(20);
  ok(sent.length === length, "none after stop()");
});

Deno.test("Heartbeat tells once of one place that is silent among others, unless it is forgotten", async () => {
  const dead = new Set(["b"]);
  const { sent, faults, heartbeat } = start(dead);
  await until(() => sent.length > 3, "a round");
  dead.delete("b");
  heartbeat.forget("b");
  await sleep(100);
  deepStrictEqual(faults, []);
  dead.add("c");
  await until(() => faults.length > 0, "the silence");
  await sleep(30);
  heartbeat.stop();
  match(String(faults), /^Error: A heartbeat did not come within 60 ms$/);
});
