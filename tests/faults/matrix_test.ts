/**
 * Every row of the matrix, on real nodes, Redis and Postgres: nothing lost, nothing shown twice, nothing out of order, and
 * every node alive that was not ended. The bounded rows run here with every change, 10 s of load each; all of them, 30 s
 * each, by `deno task test:faults`, which writes the table; with words of names only those, and their lines of it.
 */
import { deepStrictEqual } from "node:assert/strict";
import { writeTable } from "./report.ts";
import { lineOf, type RowResult, runRow } from "./row.ts";
import { rows } from "./rows.ts";
import { say } from "./say.ts";

const isWhole = Deno.env.get("FAULTS") === "whole";
const seconds = isWhole ? 30 : 10;
const seed = Number(Deno.env.get("FAULTS_SEED") ?? 1);
const results: RowResult[] = [];

for (const row of rows) {
  if (!isWhole && !row.isBounded) continue;
  Deno.test(row.name, async () => {
    const result = await runRow(row, { seconds, seed });
    await say(lineOf(result));
    deepStrictEqual(result.violations, []);
    const { lost, repeated, reordered } = result;
    deepStrictEqual({ lost, repeated, reordered }, { lost: 0, repeated: 0, reordered: 0 });
    results.push(result);
  });
}

if (isWhole) Deno.test.afterAll(() => writeTable(results, { seconds, seed }));
