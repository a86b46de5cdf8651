/** A recorded hour through a real node: the replay itself is the check, here that it finds nothing, and that it looked. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { replay } from "../../bench/replay/replay.ts";
import { signToken, startTestApp } from "../helpers/test_app.ts";

const EXCERPT = new URL("../data/irc_excerpt.jsonl", import.meta.url).pathname;

Deno.test("replay() of the excerpt misses, doubles and disorders nothing", async () => {
  await using app = await startTestApp({ env: { DATABASE_POOL_SIZE: "10" } });
  const report = await replay({
    serverUrl: app.url,
    files: [EXCERPT],
    tokenFor: (sub, name) => signToken(sub, { name }),
  });
  deepStrictEqual(report.rooms.map((room) => room.faultCount), [0]);
  strictEqual(report.ok, true);
  ok(report.total.acknowledged > 200, `only ${report.total.acknowledged} messages`);
  ok(report.total.deliveries > 10 * report.total.acknowledged, `only ${report.total.deliveries} deliveries`);
});
