/**
 * The judge judged: a build without repair and sweep, whose clients never ask for what they missed, loses what peers lose.
 * Where that passes, the matrix proves nothing.
 */
import { ok } from "node:assert/strict";
import { lineOf, runRow } from "../faults/row.ts";
import { rows } from "../faults/rows.ts";
import { say } from "../faults/say.ts";

const SECONDS = 6;

for (
  const name of [
    "F3 Redis killed, back empty after 2 s",
    "F4 one node and Redis: refused for 4 s",
    "F10 all client links cut",
  ]
) {
  Deno.test(`without repair and catch-up this is lost and noticed: ${name}`, async () => {
    const row = rows.find((known) => known.name.startsWith(name));
    if (row === undefined) throw new Error(`There is no row ${name}`);
    const result = await runRow({ ...row, options: { ...row.options, isBroken: true } }, {
      seconds: SECONDS,
      healMs: 1_000,
      seed: 1,
    });
    await say(`broken build, ${lineOf(result)}`);
    ok(result.lost > 0, "nothing was lost");
    ok(result.violations.some((text) => text.startsWith("I4")), result.violations.join("\n"));
  });
}
