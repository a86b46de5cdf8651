/** What presence leases do, whatever keeps them: run for those in memory, in Redis and in a Redis cluster. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { type LeaseState, type PresenceLeases, together } from "../../src/bus/presence_leases.ts";
import type { UserId } from "../../src/protocol/ids.ts";
import type { Carrier } from "./bus_suite.ts";

export interface LeasesFixture extends AsyncDisposable {
  /** Two nodes. */
  readonly nodes: readonly [PresenceLeases, PresenceLeases];
}

export async function leasesSuite(t: Deno.TestContext, carrier: Carrier<LeasesFixture>): Promise<void> {
  await t.step("what all nodes say together is what a table of it says, and what set() answers", async () => {
    await using fixture = await carrier.open();
    const users = ["ada", "bob", 'ü "{}" \n', "eve"] as UserId[];
    const table = new Map<string, LeaseState>();
    const of = (user: UserId) => together([0, 1].flatMap((node) => table.get(`${node} ${user}`) ?? []));
    const steps = fc.array(
      fc.record({
        node: fc.constantFrom(0 as const, 1 as const),
        user: fc.constantFrom(...users),
        state: fc.constantFrom<LeaseState | undefined>("online", "away", "busy", "invisible", undefined),
      }),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        for (const { node, user, state } of steps) {
          const before = of(user);
          if (state === undefined) table.delete(`${node} ${user}`);
          else table.set(`${node} ${user}`, state);
          deepStrictEqual(await fixture.nodes[node].set(user, state), { before, after: of(user) });
        }
        for (const node of fixture.nodes) {
          const states = await node.statesOf(users);
          for (const user of users) strictEqual(states.get(user), of(user));
          strictEqual(
            await node.count(),
            users.filter((user) => (of(user) ?? "invisible") !== "invisible").length,
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  await t.step("what one node says in a row is taken in its order", async () => {
    await using fixture = await carrier.open();
    const [one, other] = fixture.nodes;
    const ada = "ada" as UserId;
    const shifts = await Promise.all(
      (["online", "away", "busy", undefined, "online"] as const).map((state) => one.set(ada, state)),
    );
    deepStrictEqual(shifts.map(({ before, after }) => [before, after]), [
      [undefined, "online"],
      ["online", "away"],
      ["away", "busy"],
      ["busy", undefined],
      [undefined, "online"],
    ]);
    deepStrictEqual([...await other.statesOf([ada, "bob" as UserId])], [["ada", "online"]]);
  });
}
