/** The table of a whole run. */
import { PER_SECOND, type RowResult } from "./row.ts";
import { ROOMS } from "./population.ts";

const FILE = new URL("../../bench/results/faults.md", import.meta.url);

export async function writeTable(
  results: readonly RowResult[],
  { seconds, seed }: { seconds: number; seed: number },
): Promise<void> {
  const head = ["fault", "sent", "acked", "delivered", "lost", "repeated", "reordered", "p50 ms", "p99 ms"];
  const columns = [...head, "heal ms", "removal ms", "RSS MiB"];
  const lines = results.map((row) => [
    ...[row.name, row.sent, row.acked, row.delivered, row.lost, row.repeated, row.reordered],
    ...[row.p50Ms, row.p99Ms, row.healMs, row.removalMs ?? "", `+${row.growthMiB}`],
  ]);
  const table = [columns, columns.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join(
    "\n",
  );
  await Deno.mkdir(new URL(".", FILE), { recursive: true });
  await Deno.writeTextFile(FILE, `${intro(seconds, seed)}\n\n${table}\n`);
}

const intro = (seconds: number, seed: number): string =>
  `# Faults

Written by \`deno task test:faults\` on ${
    new Date().toISOString().slice(0, 10)
  }, seed ${seed}, everything on one machine of
${navigator.hardwareConcurrency} cores: 3 nodes, Redis, Postgres, proxies and all clients. ${ROOMS} rooms with 2 publishers each, ${PER_SECOND}
messages a second a publisher, 12 receivers, ${seconds} s of load or more, the fault at a third.

- *p50, p99*: of every delivery, from the first try to send it until it was shown, the time of the fault included.
- *heal*: from the end of the fault until all that was sent before was with everybody.
- *removal*: a member was removed at the moment of the fault (F18): how long after its end they knew. Nobody heard anything
  of a room after they had left it.
- *RSS*: of the node that grew most, above what it had before the fault.`;
