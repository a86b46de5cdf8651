import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import type postgres from "postgres";
import type { Change } from "../../src/store/changes.ts";
import { faultCode } from "../../src/store/database.ts";
import { linksOf, type StoreNode, TestStore } from "./fixture.ts";
import { anyOps, enter, NAMES, type Op, perform } from "./rule_ops.ts";

const SEED = 20_260_731;
const RUNS = 30;
const OPS = 80;
const WORKERS = 12;
const OPS_AT_ONCE = 200;
const LOCK_TIMEOUT = "55P03";

interface Heads {
  rooms: Map<string, number>;
  inboxes: Map<string, number>;
}

async function readHeads(sql: postgres.Sql): Promise<Heads> {
  const rows = await sql<{ kind: string; id: string; seq: number }[]>`
    select 'room' as kind, id::text, last_seq as seq from rooms union all select 'inbox', id, inbox_seq from users`;
  const of = (kind: string) =>
    new Map(rows.filter((row) => row.kind === kind).map((row) => [row.id, row.seq]));
  return { rooms: of("room"), inboxes: of("inbox") };
}

/** What moved was told of, step by step: a number that nobody hears of is a hole on every stream. */
function checkTold(before: Heads, after: Heads, changes: Change[]): void {
  const seen = (which: (change: Change) => [string, number][]) => {
    const seqs = new Map<string, number[]>();
    for (const [id, seq] of changes.flatMap(which)) seqs.set(id, [...seqs.get(id) ?? [], seq]);
    return seqs;
  };
  const rooms = seen((change) => change.kind === "inbox" ? [] : [[change.roomId, change.seq]]);
  const inboxes = seen((change) => {
    if (change.kind === "inbox") return [[change.userId, change.seq]];
    if (change.kind === "membership" || change.direct === undefined) return [];
    const { low, high, inboxLow, inboxHigh } = change.direct;
    return low === high ? [[low, inboxLow]] : [[low, inboxLow], [high, inboxHigh]];
  });
  const sides = [[before.rooms, after.rooms, rooms], [before.inboxes, after.inboxes, inboxes]] as const;
  for (const [was, is, toldOf] of sides) {
    for (const [id, seq] of is) {
      const from = was.get(id) ?? 0;
      const numbers = (toldOf.get(id) ?? []).toSorted((a, b) => a - b);
      deepStrictEqual(numbers, Array.from({ length: seq - from }, (_, i) => from + 1 + i), id);
    }
  }
}

/** Each finds the rows that break one rule. */
const RULES: Record<string, string> = {
  "a room stands at its newest change": `
    select r.id, r.last_seq, c.newest from rooms r cross join lateral (select greatest(r.meta_change_seq,
      (select max(change_seq) from messages m where m.room_id = r.id),
      (select max(change_seq) from memberships m where m.room_id = r.id)) as newest) c where r.last_seq <> c.newest`,
  "no two changes of a room have one number": `
    select room_id, change_seq from (
      select room_id, change_seq from messages union all select room_id, change_seq from memberships
      union all select id, meta_change_seq from rooms) c
    where change_seq > 0 group by 1, 2 having count(*) > 1`,
  "a room's members are counted": `
    select r.id, r.member_count from rooms r where r.member_count <>
      (select count(*) from memberships m where m.room_id = r.id and m.left_seq is null)`,
  "an inbox stands at its newest number": `
    with numbers as (${inboxNumbers()})
    select u.id, u.inbox_seq, (select max(n.seq) from numbers n where n.user_id = u.id) from users u
    where u.inbox_seq <> coalesce((select max(n.seq) from numbers n where n.user_id = u.id), 0)`,
  "no two rooms have one number of an inbox, nor two messages": `
    with numbers as (${inboxNumbers()})
    select user_id, seq from numbers group by 1, 2 having count(distinct room_id) > 1 or count(message_id) > 1`,
  "a direct room's place in an inbox is its newest message's, or newer": `
    select m.room_id from messages m join rooms r on r.id = m.room_id and r.type = 'DIRECT'
    join memberships l on l.room_id = r.id and l.user_id = r.direct_low
    join memberships h on h.room_id = r.id and h.user_id = r.direct_high
    where m.inbox_low > l.inbox_change_seq or m.inbox_high > h.inbox_change_seq
      or (m.first_inbox_low <= m.inbox_low and m.first_inbox_high <= m.inbox_high) is not true`,
  "messages are dated in their order": `
    select a.room_id, a.seq from messages a join messages b on b.room_id = a.room_id and b.seq > a.seq
    where b.created_at < a.created_at`,
  "places are in order": `
    select m.room_id, m.seq from messages m join rooms r on r.id = m.room_id
    where m.seq < r.oldest_seq or m.change_seq < m.seq or m.change_seq > r.last_seq
    union all select m.room_id, m.joined_seq from memberships m join rooms r on r.id = m.room_id
    where m.left_seq < m.joined_seq or m.change_seq > r.last_seq or m.last_read_seq > r.last_seq`,
  "unread is what one would count": `
    select m.room_id, m.user_id, unread_v1(m.room_id, m.user_id, m.last_read_seq) from memberships m
    where unread_v1(m.room_id, m.user_id, m.last_read_seq) <> least(100, (select count(*) from messages x
      where x.room_id = m.room_id and x.seq > m.last_read_seq and x.sender_id <> m.user_id and not x.is_deleted))`,
  "who is banned is out": `
    select room_id, user_id from memberships where is_blocked <> (left_reason is not distinct from 'banned')`,
};

function inboxNumbers(): string {
  return `select user_id, inbox_change_seq as seq, room_id, null::uuid as message_id from memberships where inbox_change_seq > 0
    union all select r.direct_low, m.inbox_low, m.room_id, m.id from messages m join rooms r on r.id = m.room_id where m.inbox_low > 0
    union all select r.direct_high, m.inbox_high, m.room_id, m.id from messages m join rooms r on r.id = m.room_id
      where m.inbox_high > 0 and r.direct_high <> r.direct_low`;
}

async function checkRules(sql: postgres.Sql): Promise<void> {
  const asked = Object.entries(RULES).map(([rule, text]) =>
    `select '${rule.replaceAll("'", "''")}' as rule, (select json_agg(t)::text from (${text}) t) as broken`
  );
  const broken = await sql.unsafe(`select * from (${asked.join(" union all ")}) r where broken is not null`);
  deepStrictEqual([...broken], []);
}

/** Rooms that have members and none who owns them. */
async function ownerless(sql: postgres.Sql): Promise<Set<string>> {
  const rows = await sql<{ id: string }[]>`
    select r.id from rooms r where r.type <> 'DIRECT' and not exists (
      select from memberships m where m.room_id = r.id and m.role = 'OWNER' and m.left_seq is null)`;
  return new Set(rows.map((row) => row.id));
}

async function playAndCheck(store: TestStore, ops: Op[], performed: Map<string, number>): Promise<void> {
  await store.sql`truncate users, rooms, memberships, messages, user_blocks cascade`;
  const world = await enter(store.node);
  let heads = await readHeads(store.sql);
  let left = await ownerless(store.sql);
  for (const op of ops) {
    const { code, changes } = await perform(world, op);
    const now = await readHeads(store.sql);
    checkTold(heads, now, changes);
    if (code !== null) deepStrictEqual(now, heads, `${op.does} was refused and changed something`);
    heads = now;
    const without = await ownerless(store.sql);
    // by leaving a room empty, or with the course; else never
    const lost = [...without].filter((id) => !left.has(id));
    if (lost.length > 0) {
      ok(op.does === "courses" || op.does === "leave", `${op.does} left ${lost} without an owner`);
    }
    left = without;
    const done = code === null ? op.does : `${op.does} refused`;
    performed.set(done, (performed.get(done) ?? 0) + 1);
  }
  await checkRules(store.sql);
}

/** How the calls of a node failed, those that were tried again included. */
function watchFaults(nodes: readonly StoreNode[]): string[] {
  const faults: string[] = [];
  for (const link of nodes.flatMap(({ db }) => linksOf(db))) {
    const call = link.call.bind(link);
    link.call = (query) =>
      call(query).catch((fault) => {
        faults.push(faultCode(fault));
        throw fault;
      });
  }
  return faults;
}

Deno.test("writes from four nodes at once never wait for each other in a circle, and keep the rules", async () => {
  await using store = await TestStore.open({ nodes: 4, lanes: 2 });
  const faults = watchFaults(store.nodes);
  const world = await enter(store.node);
  const before = await readHeads(store.sql);
  const told: Change[] = [];
  const scripts = fc.sample(anyOps(OPS_AT_ONCE), { seed: SEED, numRuns: WORKERS });
  await Promise.all(scripts.map(async (ops, worker) => {
    const node = store.nodes[worker % store.nodes.length] as StoreNode;
    for (const op of ops) told.push(...(await perform({ ...world, node }, op)).changes);
  }));
  deepStrictEqual(faults.filter((code) => code !== LOCK_TIMEOUT), []);
  await checkRules(store.sql);
  checkTold(before, await readHeads(store.sql), told);
});

Deno.test("the rules of numbers, counts and owners hold after any sequence of operations", async () => {
  await using store = await TestStore.open({ lanes: 1 });
  const performed = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(anyOps(OPS), (ops) => playAndCheck(store, ops, performed)),
    { seed: SEED, numRuns: RUNS, interruptAfterTimeLimit: 20_000 },
  );
  for (const does of NAMES) {
    ok((performed.get(does) ?? 0) >= 3, `${does} succeeded ${performed.get(does)} times only`);
  }
});
