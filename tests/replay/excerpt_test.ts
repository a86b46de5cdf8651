/** A recorded hour through a real node: the replay itself is the check, here that it finds nothing, and that it looked. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type DoorName, openDoor } from "../../bench/replay/doors.ts";
import { replay } from "../../bench/replay/replay.ts";
import { createTestDatabase } from "../helpers/databases.ts";
import { RedisServer } from "../helpers/redis.ts";
import { signToken, startTestApp } from "../helpers/test_app.ts";

const EXCERPT = new URL("../data/irc_excerpt.jsonl", import.meta.url).pathname;

Deno.test("replay() of the excerpt misses, doubles and disorders nothing", async () => {
  await using app = await startTestApp({ env: { DATABASE_POOL_SIZE: "10" } });
  const report = await replay({
    serverUrls: [app.url],
    files: [EXCERPT],
    tokenFor: (sub, name) => signToken(sub, { name }),
  });
  deepStrictEqual(report.rooms.map((room) => room.faultCount), [0]);
  strictEqual(report.ok, true);
  ok(report.total.acknowledged > 200, `only ${report.total.acknowledged} messages`);
  ok(report.total.deliveries > 10 * report.total.acknowledged, `only ${report.total.deliveries} deliveries`);
});

Deno.test("replay() over three nodes, with Redis killed and back in the middle, misses nothing", async () => {
  await using redis = await RedisServer.start();
  await using database = await createTestDatabase();
  await using nodes = new AsyncDisposableStack();
  const serverUrls: string[] = [];
  for (let i = 0; i < 3; i++) {
    const env = { REDIS_URL: redis.url, CHAT_SWEEP_INTERVAL: "5000" };
    serverUrls.push(nodes.use(await startTestApp({ database, env })).url);
  }
  let breaking: Promise<void> | undefined;
  const breakRedis = async (): Promise<void> => {
    await redis.kill();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await redis.restart();
  };
  const report = await replay({
    serverUrls,
    files: [EXCERPT],
    tokenFor: (sub, name) => signToken(sub, { name }),
    onProgress: ({ stepsDone, steps }) => {
      if (stepsDone > steps / 2) breaking ??= breakRedis();
    },
  });
  await breaking;
  deepStrictEqual(report.rooms.map((room) => room.faultCount), [0]);
  ok(breaking !== undefined);
  ok(report.total.acknowledged > 200, `only ${report.total.acknowledged} messages`);
});

for (const door of ["socketio", "mixed"] satisfies DoorName[]) {
  Deno.test(`replay() of the excerpt by ${door} over two nodes misses, doubles and disorders nothing`, async () => {
    await using redis = await RedisServer.start();
    await using database = await createTestDatabase();
    await using nodes = new AsyncDisposableStack();
    const serverUrls: string[] = [];
    for (let i = 0; i < 2; i++) {
      serverUrls.push(nodes.use(await startTestApp({ database, env: { REDIS_URL: redis.url } })).url);
    }
    const report = await replay({
      serverUrls,
      files: [EXCERPT],
      door: openDoor(door, serverUrls),
      tokenFor: (sub, name) => signToken(sub, { name }),
    });
    deepStrictEqual(report.rooms.map((room) => room.faultDetails), [[]]);
    ok(report.total.acknowledged > 200, `only ${report.total.acknowledged} messages`);
    ok(
      report.total.deliveries > 10 * report.total.acknowledged,
      `only ${report.total.deliveries} deliveries`,
    );
  });
}
