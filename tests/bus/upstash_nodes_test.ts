/** Two nodes over Upstash's REST: while each thing of it breaks, 200 numbered messages arrive, each once, in order. */
import { deepStrictEqual, ok } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createTestDatabase } from "../helpers/databases.ts";
import { startTestApp } from "../helpers/test_app.ts";
import { UpstashServer } from "../helpers/upstash_server.ts";
import { UPSTASH_FAULTS } from "../helpers/upstash_faults.ts";

const MESSAGES = 200;
/** An acknowledgement waits for Postgres alone, on a machine that others use too. */
const ACK_MS_MAX = 1_000;

Deno.test("two nodes over Upstash lose nothing while it breaks, and no acknowledgement waits for it", async (t) => {
  await using server = await UpstashServer.start();
  await using database = await createTestDatabase();
  const env = { UPSTASH_REDIS_REST_URL: server.url, UPSTASH_REDIS_REST_TOKEN: UpstashServer.TOKEN };
  await using one = await startTestApp({ database, env });
  await using other = await startTestApp({ database, env });
  const ada = await one.connect("ada");
  const { room } = await ada.call("create_room", { name: "Lab", type: "PUBLIC" });
  const bob = await other.connect("bob");
  await bob.call("join_room", { roomId: room.id });
  await ada.call("join_room", { roomId: room.id });

  for (const { what, start, end, lastsMs } of UPSTASH_FAULTS) {
    await t.step(what, async () => {
      const sent = Array.from({ length: MESSAGES }, (_, i) => `${what} ${i}`);
      let slowest = 0;
      for (const [i, content] of sent.entries()) {
        if (i === 50) start(server);
        if (i === 150) end(server);
        const started = performance.now();
        await ada.call("send_message", { roomId: room.id, content });
        slowest = Math.max(slowest, performance.now() - started);
        if (i > 50 && i < 150) await sleep(lastsMs / 100);
      }
      const contents = () =>
        bob.events("message_received").map(({ message }) => message.content as string).filter((content) =>
          content.startsWith(what)
        );
      await bob.until(() => contents().length >= MESSAGES, "all messages", 10_000);
      deepStrictEqual(contents(), sent);
      ok(slowest < ACK_MS_MAX, `an acknowledgement took ${Math.round(slowest)} ms`);
    });
  }
});
