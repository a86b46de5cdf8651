/**
 * Search goes by indexes: in no way of matching, with no filter, on no page does it read messages from the table's
 * beginning, and what it reads has a bound, however frequent or rare what is looked for is.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import type { Actor } from "../../src/chat/actor.ts";
import { parseInput } from "../../src/chat/commands.ts";
import { RoomRules } from "../../src/chat/room_rules.ts";
import { Search } from "../../src/chat/search.ts";
import { commands } from "../../src/protocol/commands.ts";
import type { UserId } from "../../src/protocol/ids.ts";
import { createTestDatabase } from "../helpers/databases.ts";
import { connect } from "./fixture.ts";
import { ASKED, nodesOf, type Plan, Watched } from "./watched.ts";

const ROOMS = 100;
const MESSAGES = 40_000;
const SIGNS = "我们明天在图书馆见面请把作业发给老师说考试推迟了";

/** A third is said in the first room; "frequent" is in every second message, "seldom7" in one of 4,000. */
const FILL = `
  create function room_at(i bigint) returns uuid language sql return
    format('00000000-0000-7000-8000-%s', lpad(i::text, 12, '0'))::uuid;
  insert into users (id, name) select u, u from (values ('all'), ('few'), ('a'), ('b'), ('c')) v(u);
  insert into rooms (id, name, type, created_by) select room_at(i), 'Room', 'PUBLIC', 'a' from generate_series(1, ${ROOMS}) i;
  insert into memberships (room_id, user_id, joined_seq, change_seq)
    select room_at(i), 'all', 0, 0 from generate_series(1, ${ROOMS}) i
    union all select room_at(i), 'few', 0, 0 from generate_series(50, 52) i;
  insert into messages (id, room_id, seq, change_seq, sender_id, client_message_id, content, created_at)
    select gen_random_uuid(), room_at(case when i % 3 = 0 then 1 else 1 + i % ${ROOMS} end), i, i,
      (array['a', 'b', 'c'])[1 + i % 3], i::text,
      format('%s word%s and more seldom%s %s', case when i % 2 = 0 then 'frequent' else 'other' end, i % 997, i % 4000,
        case when i % 20 = 0 then substr('${SIGNS}', 1 + i / 20 % 20, 4) end),
      timestamptz '2025-01-01' + i * interval '1 minute'
    from generate_series(1, ${MESSAGES}) i;
  analyze`;

const ROOM = "00000000-0000-7000-8000-000000000050";
const DAY = { after: "2025-01-10T00:00:00Z", before: "2025-01-11T00:00:00Z" };

/** What is asked, and how many messages may be looked at for one page. */
const QUESTIONS: readonly [ask: Record<string, unknown>, rows: number][] = [
  [{ query: "frequent" }, 6_000],
  [{ query: "frequent", order: "newest" }, 500],
  [{ query: "seldom7" }, 100],
  [{ query: "frequent seldom7" }, 100],
  [{ query: '"word7 and"' }, 1_500],
  [{ query: '"and frequent"' }, MESSAGES + 2_000],
  [{ query: "frequent -seldom7" }, 6_000],
  [{ query: "seldom7 or seldom8 or nothing" }, 200],
  [{ query: "nothing" }, 50],
  [{ query: "requen", match: "substring" }, 2_500],
  [{ query: "eldom77", match: "substring" }, 2_500],
  [{ query: "nothing", match: "substring" }, 1_500],
  [{ query: "frequnet", match: "similar" }, 6_000],
  [{ query: "sledom", match: "similar" }, 100],
  [{ query: "天在", match: "words" }, 1_500],
  [{ query: "图书", match: "substring" }, 2_500],
  [{ query: "图收馆见", match: "similar" }, 2_500],
];

async function check(
  t: Deno.TestContext,
  watched: Watched,
  ask: Record<string, unknown>,
  userId: string,
  rows: number,
): Promise<void> {
  const rules = new RoomRules({ db: watched.db } as unknown as ConstructorParameters<typeof RoomRules>[0]);
  const search = new Search({ rules });
  const actor = { userId: userId as UserId } as Actor;
  const answer = async (more: object): Promise<{ nextCursor: string | null }> =>
    JSON.parse(await search.search(actor, parseInput(commands.search_messages.input, { ...ask, ...more })));
  await t.step(`${userId}: ${JSON.stringify(ask)}`, async () => {
    const { nextCursor } = await answer({});
    for (const more of [{}, ...nextCursor === null ? [] : [{ cursor: nextCursor }]]) {
      const plans = await watched.plansOf(() => answer(more));
      ok(plans.length >= ASKED, `${plans.length} plans were told`);
      const nodes = plans.flatMap(({ Plan }) => nodesOf(Plan)).filter((node) => node["Actual Loops"] !== 0);
      const whole = nodes.filter((node) => node["Node Type"] === "Seq Scan").map((node) =>
        node["Relation Name"]
      );
      deepStrictEqual(whole.filter((name) => name === "messages"), []);
      const looked = nodes.reduce((sum, node) => sum + looks(node), 0) / ASKED;
      ok(looked <= rows, `${looked} messages were looked at, not ${rows}`);
    }
  });
}

function looks(node: Plan): number {
  if (node["Relation Name"] !== "messages") return 0;
  const removed = (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0);
  return ((node["Actual Rows"] ?? 0) + removed) * (node["Actual Loops"] ?? 1);
}

Deno.test("search reads by indexes, and a bounded part of what was said", async (t) => {
  await using database = await createTestDatabase();
  await using stack = new AsyncDisposableStack();
  const sql = connect(database.url, 1);
  stack.defer(() => sql.end());
  await sql.unsafe("alter table messages set (autovacuum_enabled = off)");
  await sql.unsafe(FILL);
  await using watched = new Watched(database.url);
  for (const [ask, rows] of QUESTIONS) {
    await check(t, watched, ask, "all", rows);
    await check(t, watched, ask, "few", rows);
    await check(t, watched, { ...ask, roomId: ROOM, senderId: "b", ...DAY }, "all", Math.min(rows, 3_000));
  }
});
