/** The table of a whole run. */
import { PER_SECOND, type RowResult } from "./row.ts";
import { rows } from "./rows.ts";
import { ROOMS } from "./population.ts";

const FILE = new URL("../../bench/results/faults.md", import.meta.url);

const COLUMNS = [
  ...["fault", "sent", "acked", "delivered", "lost", "repeated", "reordered", "p50 ms", "p99 ms"],
  ...["heal ms", "removal ms", "RSS MiB"],
];

/** Lines of rows that did not run stay as they are. */
export async function writeTable(
  results: readonly RowResult[],
  { seconds, seed }: { seconds: number; seed: number },
): Promise<void> {
  const lines = new Map<string, string>();
  const before = await Deno.readTextFile(FILE).catch(() => "");
  for (const line of before.split("\n")) {
    const [, name = ""] = /^\| (F\d[^|]*?) +\|/.exec(line) ?? [];
    if (name !== "") lines.set(name, line);
  }
  for (const result of results) lines.set(result.name, cells(cellsOf(result)));
  const table = [
    cells(COLUMNS),
    cells(COLUMNS.map(() => "---")),
    ...rows.flatMap(({ name }) => lines.get(name) ?? []),
  ];
  await Deno.mkdir(new URL(".", FILE), { recursive: true });
  await Deno.writeTextFile(FILE, `${intro(seconds, seed)}\n\n${table.join("\n")}\n`);
}

const cells = (texts: readonly unknown[]): string => `| ${texts.join(" | ")} |`;

const cellsOf = (row: RowResult): unknown[] => [
  ...[row.name, row.sent, row.acked, row.delivered, row.lost, row.repeated, row.reordered],
  ...[row.p50Ms, row.p99Ms, row.healMs, row.removalMs ?? "", `+${row.growthMiB}`],
];

const intro = (seconds: number, seed: number): string =>
  `# Faults

Written by \`deno task test:faults\` on ${
    new Date().toISOString().slice(0, 10)
  }, seed ${seed}, everything on one machine of
${navigator.hardwareConcurrency} cores: 3 nodes, Redis, Postgres, proxies and all clients. ${ROOMS} rooms with 2 publishers each, ${PER_SECOND}
messages a second a publisher, 12 receivers, ${seconds} s of load or more, the fault at a third.

- *by Socket.IO*: the same with the published socket.io-client, by WebSocket, by polling and by polling that upgrades.
- *p50, p99*: of every delivery, from the first try to send it until it was shown, the time of the fault included.
- *heal*: from the end of the fault until all that was sent before was with everybody, also what could not be stored
  meanwhile and waited with its sender. Bound: 10 s, and 1 s for each 100 messages that one sender had waiting.
- *removal*: a member was removed at the moment of the fault (F18): how long after its end they knew. Nobody heard anything
  of a room after they had left it.
- *RSS*: of the node that grew most, above what it had before the fault.`;
