import { deepStrictEqual, ok } from "node:assert/strict";
import type postgres from "postgres";
import type { MessageId, RoomId, UserId } from "../../src/protocol/ids.ts";
import { Appender, type Draft } from "../../src/store/appender.ts";
import { Database } from "../../src/store/database.ts";
import { inboxChangesSince } from "../../src/store/inbox_changes.ts";
import { listMembers, listStandings } from "../../src/store/memberships.ts";
import { findDirectRoom, listConversations, pageOfRoom } from "../../src/store/messages.ts";
import { readerChangesSince, readerNewest, roomChangesSince } from "../../src/store/room_changes.ts";
import {
  callWrite,
  directPair,
  findRoom,
  inboxesAhead,
  listRooms,
  roomsAhead,
} from "../../src/store/rooms.ts";
import { createTestDatabase, quietLog } from "../helpers/databases.ts";
import { connect, draftOf, send, stored, toRoom, toUser } from "./fixture.ts";
import { ASKED, nodesOf, type Plan, Watched } from "./watched.ts";

const USERS = 60_000;
const ROOMS = 20_000;
const TALKING_ROOMS = 200;
const DIRECT_ROOMS = 100;
const MEMBERS = 40;
const MEMBERS_MORE = 2_000;
const MESSAGES_A_ROOM = 100;
/** In the first room, so that one room is far from the average, which is what plans are made for. */
const MESSAGES_MORE = 12_000;

/** Tables of a node that has run for a while; `analyze` is what autovacuum would have done. */
async function fill(sql: postgres.Sql, analyze: boolean): Promise<void> {
  const isLarge = `case when i = 1 then`;
  const said = `${isLarge} ${
    MESSAGES_A_ROOM + MESSAGES_MORE
  } when i <= ${TALKING_ROOMS} then ${MESSAGES_A_ROOM} else 0 end`;
  await sql.unsafe(`
    create function room_at(i bigint, kind text) returns uuid language sql return
      format('00000000-0000-7000-%s-%s', kind, lpad(i::text, 12, '0'))::uuid;
    insert into users (id, name, inbox_seq) select 'user-' || i, 'User ' || i, 1000 from generate_series(1, ${USERS}) i;
    insert into rooms (id, name, type, created_by, member_count, last_seq)
      select room_at(i, '8000'), 'Room ' || i, 'PUBLIC', 'user-1', ${isLarge} ${MEMBERS_MORE} else ${MEMBERS} end, ${said}
      from generate_series(1, ${ROOMS}) i;
    insert into memberships (room_id, user_id, joined_seq, change_seq, inbox_change_seq, last_read_seq)
      select room_at(r, '8000'), 'user-' || case when i = 1 then 1 when i = 2 and r <= 50 then 3 else 4 + (r * 7 + i * 53) % ${
    USERS - 4
  } end,
        0, 0, 1 + r * 1000 / ${TALKING_ROOMS}, 50
      from generate_series(1, ${TALKING_ROOMS}) r, generate_series(1, case when r = 1 then ${MEMBERS_MORE} else ${MEMBERS} end) i
      where i > 1 or r = 1
      on conflict do nothing;
    insert into rooms (id, name, type, created_by, member_count, last_seq, direct_key, direct_low, direct_high)
      select room_at(i, '9000'), '', 'DIRECT', 'user-1', 2, ${MESSAGES_A_ROOM},
        format('["user-1","user-%s"]', i + 1), 'user-1', 'user-' || i + 1 from generate_series(1, ${DIRECT_ROOMS}) i;
    insert into memberships (room_id, user_id, joined_seq, change_seq, inbox_change_seq)
      select r.id, u, 0, 0, 900 from rooms r, unnest(array[direct_low, direct_high]) u where r.type = 'DIRECT';
    insert into messages (id, room_id, seq, change_seq, sender_id, recipient_id, client_message_id, content, created_at,
        inbox_low, inbox_high)
      select gen_random_uuid(), r.id, s, s, case when s % 2 = 0 then coalesce(r.direct_high, 'user-7') else 'user-1' end,
        r.direct_high, 'c' || s, 'word' || s % 997 || ' and more of the kind', now(),
        case when r.type = 'DIRECT' then s end, case when r.type = 'DIRECT' then s end
      from rooms r, generate_series(1, r.last_seq) s;
    ${analyze ? "analyze;" : ""}`);
}

const roomAt = (i: number): RoomId => `00000000-0000-7000-8000-${String(i).padStart(12, "0")}` as RoomId;
const ada = "user-1" as UserId;
const ben = "user-2" as UserId;
/** Of fifty rooms. */
const cid = "user-3" as UserId;
const large = roomAt(1);

interface Question {
  name: string;
  ask: () => Promise<unknown>;
  /** Rows of messages and memberships that the answer may take, at most. */
  rows: number;
}

function reads(db: Database): Question[] {
  const last = MESSAGES_A_ROOM + MESSAGES_MORE;
  const page = (ask: Parameters<typeof pageOfRoom>[3]) => () => pageOfRoom(db, large, ada, ask);
  const someRooms = new Map(Array.from({ length: 1_000 }, (_, i) => [roomAt(i + 1), i % 2 === 0 ? 1 : last]));
  const someUsers = new Map(Array.from({ length: 1_000 }, (_, i) => [`user-${i + 1}` as UserId, i * 10]));
  const about = { roomId: large, userId: ada };
  let seq = 9_000;
  return [
    { name: "newest page", ask: page({ is: "newest", limit: 50 }), rows: 60 },
    { name: "page before", ask: page({ is: "before", seq: 9_000, limit: 50 }), rows: 60 },
    { name: "page after", ask: page({ is: "after", seq: 9_000, limit: 50 }), rows: 60 },
    { name: "page around", ask: page({ is: "around", seq: 9_000, limit: 50 }), rows: 60 },
    {
      name: "catch-up",
      ask: () => readerChangesSince(db, { ...about, since: last - 20, limit: 200 }),
      rows: 250,
    },
    {
      name: "catch-up, far",
      ask: () => readerChangesSince(db, { ...about, since: 10, limit: 200 }),
      rows: 450,
    },
    { name: "catch-up, anew", ask: () => readerNewest(db, { ...about, limit: 50 }), rows: 280 },
    { name: "stream repair", ask: () => roomChangesSince(db, large, last - 3, 500), rows: 10 },
    { name: "inbox", ask: () => inboxChangesSince(db, ada, 890, 500), rows: 2_000 },
    { name: "inbox of few", ask: () => inboxChangesSince(db, cid, 990, 500), rows: 10 },
    { name: "sweep of rooms", ask: () => roomsAhead(db, someRooms), rows: 0 },
    { name: "sweep of inboxes", ask: () => inboxesAhead(db, someUsers), rows: 0 },
    { name: "room with unread", ask: () => findRoom(db, large, ada), rows: 220 },
    { name: "rooms with unread", ask: () => listRooms(db, cid, undefined, 50), rows: 50 * 60 + 200 },
    { name: "standings", ask: () => listStandings(db, cid), rows: 60 },
    {
      name: "members",
      ask: () => listMembers(db, { roomId: large, banned: false, after: cid, limit: 50 }),
      rows: 60,
    },
    { name: "conversations", ask: () => listConversations(db, ben, undefined, 51), rows: 300 },
    {
      name: "read marker",
      ask: () => callWrite(db, "mark_read_v1", { roomId: large, userId: ada, seq: seq++ }),
      rows: 250,
    },
    { name: "direct room", ask: () => findDirectRoom(db, directPair(ada, ben).key), rows: 0 },
  ];
}

function writes(db: Database, replyTo: MessageId): Question[] {
  const appender = new Appender(db, quietLog);
  let n = 0;
  const say = (target: Draft["target"], replyToId?: MessageId, sender = ada) => {
    const draft = draftOf(target, sender, `n${n++}`, replyToId === undefined ? {} : { replyToId });
    return send({ db, appender }, draft).then(stored);
  };
  const sayMany = () =>
    Promise.all(Array.from({ length: 300 }, (_, i) => say(toRoom(roomAt(1 + i % 3)), undefined, cid)));
  return [
    { name: "reply", ask: () => say(toRoom(large), replyTo), rows: 5 },
    { name: "send", ask: () => say(toRoom(large)), rows: 5 },
    { name: "direct send", ask: () => say(toUser(ada, ben)), rows: 10 },
    { name: "300 sends in 3 rooms", ask: sayMany, rows: 300 * 4 },
  ];
}

const WATCHED = ["messages", "memberships"];
/** Few rows may well be read whole, if there are few at all: here there are many. */
const NEVER_WHOLE = [...WATCHED, "rooms", "users"];

function rowsOf(node: Plan): number {
  if (!WATCHED.includes(node["Relation Name"] ?? "") || node["Node Type"] === "ModifyTable") return 0;
  return ((node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0)) * (node["Actual Loops"] ?? 1);
}

async function check(t: Deno.TestContext, watched: Watched, questions: Question[]): Promise<void> {
  for (const { name, ask, rows } of questions) {
    await t.step(name, async () => {
      const plans = await watched.plansOf(ask);
      ok(plans.length >= ASKED, `${plans.length} plans were told`);
      const nodes = plans.flatMap(({ Plan }) => nodesOf(Plan));
      const whole = nodes.filter((node) => node["Node Type"] === "Seq Scan" && node["Actual Loops"] !== 0);
      const names = new Set(whole.map((node) => node["Relation Name"] ?? ""));
      deepStrictEqual(NEVER_WHOLE.filter((relation) => names.has(relation)), []);
      const looked = nodes.reduce((sum, node) => sum + rowsOf(node), 0) / ASKED;
      ok(looked <= rows, `${looked} rows were looked at, not ${rows}`);
    });
  }
}

/** Nothing of the tables is analyzed but by `fill`: how often autovacuum comes by is not our doing. */
const BY_HAND =
  "alter table messages set (autovacuum_enabled = off); alter table memberships set (autovacuum_enabled = off)";

for (const analyzed of [true, false]) {
  Deno.test(`the store ${analyzed ? "reads and writes" : "writes"} by indexes, ${analyzed ? "with" : "without"} statistics`, async (t) => {
    await using database = await createTestDatabase();
    await using stack = new AsyncDisposableStack();
    const sql = connect(database.url, 1);
    stack.defer(() => sql.end());
    await sql.unsafe(BY_HAND);
    await using watched = new Watched(database.url);
    await watched.plansOf(() => new Appender(watched.db, quietLog).warm()); // planned when all was empty, as in production
    await fill(sql, analyzed);
    if (analyzed) await check(t, watched, reads(watched.db));
    const [first] = await sql<{ id: MessageId }[]>`select id from messages where room_id = ${large} limit 1`;
    ok(first);
    await check(t, watched, writes(watched.db, first.id));
  });
}
