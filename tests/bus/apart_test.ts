/** Nodes on one database that do not reach each other say so; a node that was restarted is not taken for two. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createTestDatabase } from "../helpers/databases.ts";
import { type NodeProcess, startNodeProcess } from "../helpers/node_process.ts";
import { steadyPort } from "../faults/ports.ts";
import { until } from "../faults/until.ts";

/** A beat of the second node, and one of the first after it. */
const NOTICED_WITHIN_MS = 12_000;
/** The dead one's last beat has to be old, and the next beat has to look. */
const FORGOTTEN_WITHIN_MS = 25_000;

Deno.test("two nodes on one Postgres without REDIS_URL: an error in both logs, neither is ready; the last one is again", async () => {
  await using database = await createTestDatabase();
  await using first = await startNodeProcess(database.url);
  await using second = await startNodeProcess(database.url);
  const nodes = [first, second];
  await until(() => nodes.every(saysApart), NOTICED_WITHIN_MS, "the error in both logs");
  for (const node of nodes) {
    const { status, text } = await readiness(node);
    strictEqual(status, 503);
    match(text, /without a shared bus/);
  }
  await first.end();
  const isReady = async () => (await readiness(second)).status === 200;
  await until(isReady, FORGOTTEN_WITHIN_MS, "the other one to be ready");
});

Deno.test("a node killed and restarted under its HOSTNAME is ready at once, without a shared bus", async () => {
  await using database = await createTestDatabase();
  const env = { HOSTNAME: "machine-1", PORT: String(steadyPort()) };
  await using first = await startNodeProcess(database.url, env);
  strictEqual((await readiness(first)).status, 200);
  await first.end();
  await using second = await startNodeProcess(database.url, env);
  const seen = new Set<number>();
  const end = performance.now() + 6_000; // past its second beat
  await until(
    async () => {
      seen.add((await readiness(second)).status);
      return performance.now() > end;
    },
    10_000,
    "two beats",
  );
  deepStrictEqual([...seen], [200]);
  ok(!saysApart(second));
});

const saysApart = ({ lines }: NodeProcess): boolean =>
  lines.some((line) => line.includes('"bus.not_shared"') && line.includes('"error"'));

async function readiness({ url }: NodeProcess): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${url}/readyz`);
  return { status: answer.status, text: await answer.text() };
}
