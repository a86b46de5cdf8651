/** Stream alone, with a fake of the repair read: whatever comes in, what goes out is in order, without hole or repeat. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { Push } from "../../src/delivery/push.ts";
import { Stream } from "../../src/delivery/stream.ts";
import { toJson } from "../../src/protocol/json_text.ts";
import { quietLog } from "../helpers/databases.ts";

const push = (seq: number, after = seq - 1): Push => new Push({ event: "e", data: toJson(seq), after, seq });

/** What Postgres knows: all up to `last`; a read gives at most `rows` of them. */
function startStream(options: { rows?: number; failures?: number } = {}) {
  const passed: Push[] = [];
  const database = { last: 0, reads: 0, failures: options.failures ?? 0 };
  const { rows = 500 } = options;
  const stream = new Stream({
    name: "room:test",
    holdMs: 1,
    log: quietLog,
    onRepair: () => {},
    deliver: (one) => passed.push(one),
    read: async (since) => {
      await Promise.resolve();
      database.reads++;
      if (database.failures-- > 0) throw new Error("not now");
      const through = Math.min(database.last, since + rows);
      const pushes = Array.from({ length: through - since }, (_, i) => push(since + i + 1));
      return { through, pushes, more: through < database.last };
    },
  });
  return { stream, passed, database };
}

async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > limit) throw new Error("Waited 5 s");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Every push begins where the one before it ended. */
function tiles(passed: readonly Push[], from: number, to: number): boolean {
  let at = from;
  for (const { after, seq } of passed) {
    if (after > at || seq <= at) return false;
    at = seq;
  }
  return at === to;
}

Deno.test("Stream passes each seq once and in order, whatever is lost, doubled or shuffled", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }).chain((last) =>
        fc.tuple(
          fc.constant(last),
          fc.array(fc.integer({ min: 1, max: last }), { maxLength: 80 }),
          fc.nat(3),
          fc.nat(5),
        )
      ),
      async ([last, arrivals, startAfter, rows]) => {
        const { stream, passed, database } = startStream({ rows: rows + 1 });
        database.last = last;
        arrivals.forEach((seq, i) => {
          if (i === startAfter) stream.start(0);
          stream.offer(push(seq));
        });
        stream.start(0);
        stream.behind(last); // as the sweep says
        await until(() => stream.through === last);
        ok(tiles(passed, 0, last), passed.map((one) => `(${one.after}, ${one.seq}]`).join(" "));
        await stream.close();
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("Stream tries a repair again that failed", async () => {
  const { stream, passed, database } = startStream({ failures: 1 });
  database.last = 3;
  stream.start(0);
  stream.offer(push(3));
  await until(() => stream.through === 3);
  strictEqual(database.reads, 2);
  ok(tiles(passed, 0, 3));
  await stream.close();
});

Deno.test("Stream forgets a publication that Postgres does not know of, and goes on", async () => {
  const { stream, passed, database } = startStream();
  database.last = 2;
  stream.start(0);
  stream.offer(push(1_000_000_000));
  await until(() => database.reads === 1 && stream.through === 2);
  database.last = 3;
  stream.offer(push(3));
  deepStrictEqual(passed.map(({ seq }) => seq), [1, 2, 3]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  strictEqual(database.reads, 1); // nothing is asked for again and again
  await stream.close();
});

Deno.test("Stream passes two rows of one repaired place", async () => {
  const passed: Push[] = [];
  const stream = new Stream({
    name: "inbox:test",
    holdMs: 1,
    log: quietLog,
    onRepair: () => {},
    deliver: (one) => passed.push(one),
    read: () => Promise.resolve({ through: 5, pushes: [push(5, 2), push(5, 5)], more: false }),
  });
  stream.start(2);
  stream.behind(5);
  await until(() => stream.through === 5);
  deepStrictEqual(passed.map(({ after, seq }) => [after, seq]), [[2, 5], [5, 5]]);
  await stream.close();
});
