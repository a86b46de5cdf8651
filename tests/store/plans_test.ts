import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import type { MessageId, RoomId, UserId } from "../../src/protocol/ids.ts";
import { Appender } from "../../src/store/appender.ts";
import type { Database } from "../../src/store/database.ts";
import { inboxChangesSince } from "../../src/store/inbox_changes.ts";
import type { Link, Sql } from "../../src/store/link.ts";
import { listMembers, listStandings } from "../../src/store/memberships.ts";
import { findDirectRoom, listConversations, pageOfRoom, searchMessages } from "../../src/store/messages.ts";
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

const USERS = 20_000;
const ROOMS = 20_000;
const TALKING_ROOMS = 400;
const DIRECT_ROOMS = 200;
const MEMBERS = 40;
const MESSAGES_A_ROOM = 100;
/** In the first room, so that one room is far from the average. */
const MESSAGES_MORE = 20_000;
/** After its sixth use a prepared statement may have a plan for whatever values: ask more often than that. */
const ASKED = 8;

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Actual Rows"?: number;
  "Actual Loops"?: number;
  "Rows Removed by Filter"?: number;
  Plans?: Plan[];
}

interface Explained {
  "Query Text": string;
  Plan: Plan;
}

/** A store whose every statement, also those inside functions, tells the plan that it was run by. */
class Watched implements AsyncDisposable {
  readonly db: Database;
  readonly #sql: Sql;
  #plans: Explained[] = [];

  constructor(url: string) {
    const settings = {
      session_preload_libraries: "auto_explain",
      "auto_explain.log_min_duration": "0",
      "auto_explain.log_analyze": "on",
      "auto_explain.log_timing": "off",
      "auto_explain.log_nested_statements": "on",
      "auto_explain.log_format": "json",
      "auto_explain.log_level": "notice",
    };
    this.#sql = postgres(url, {
      max: 1,
      fetch_types: false,
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
      connection: settings as unknown as { application_name: string },
      onnotice: ({ message }) => {
        const json = /plan:\n(\{[^]*\})$/.exec(message ?? "")?.[1];
        if (json !== undefined) this.#plans.push(JSON.parse(json));
      },
    });
    const link = { call: (query: (sql: Sql) => unknown) => query(this.#sql) } as Link;
    this.db = {
      read: async (query: (sql: Sql) => PromiseLike<readonly object[]>) => [...await query(this.#sql)],
      write: async (query: (sql: Sql) => PromiseLike<readonly { answer: string }[]>) =>
        JSON.parse((await query(this.#sql))[0]?.answer ?? "null"),
      ...{ pool: link, apart: link, lanes: [link], timeoutMs: 10_000, isClosed: false },
    } as unknown as Database;
  }

  async plansOf(ask: () => Promise<unknown>): Promise<Explained[]> {
    this.#plans = [];
    for (let i = 0; i < ASKED; i++) await ask();
    return this.#plans;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sql.end({ timeout: 2 });
  }
}

/** Tables of a node that has run for a while; `analyze` is what autovacuum would have done. */
async function fill(sql: postgres.Sql, analyze: boolean): Promise<void> {
  await sql.unsafe(`
    insert into users (id, name, inbox_seq) select 'user-' || i, 'User ' || i, 1000 from generate_series(1, ${USERS}) i;
    insert into rooms (id, name, type, created_by, member_count, last_seq)
      select format('00000000-0000-7000-8000-%s', lpad(i::text, 12, '0'))::uuid, 'Room ' || i, 'PUBLIC', 'user-1', ${MEMBERS},
        case when i = 1 then ${
    MESSAGES_A_ROOM + MESSAGES_MORE
  } when i <= ${TALKING_ROOMS} then ${MESSAGES_A_ROOM} else 0 end
      from generate_series(1, ${ROOMS}) i;
    insert into memberships (room_id, user_id, joined_seq, change_seq, inbox_change_seq, last_read_seq)
      select r.id, 'user-' || case when i = 1 then 1 else 1 + (n * 7 + i * 53) % ${USERS} end, 0, 0, 1 + n * 1000 / ${TALKING_ROOMS}, 50
      from (select id, row_number() over (order by id) as n from rooms limit ${TALKING_ROOMS}) r, generate_series(1, ${MEMBERS}) i
      on conflict do nothing;
    insert into rooms (id, name, type, created_by, member_count, last_seq, direct_key, direct_low, direct_high)
      select format('00000000-0000-7000-9000-%s', lpad(i::text, 12, '0'))::uuid, '', 'DIRECT', 'user-1', 2, ${MESSAGES_A_ROOM},
        json_build_array('user-1', 'user-' || (i + 1))::text, 'user-1', 'user-' || (i + 1)
      from generate_series(1, ${DIRECT_ROOMS}) i;
    update rooms set direct_key = '["user-1","user-2"]' where direct_low = 'user-1' and direct_high = 'user-2';
    insert into memberships (room_id, user_id, joined_seq, change_seq, inbox_change_seq)
      select r.id, u, 0, 0, 900 from rooms r, unnest(array[direct_low, direct_high]) u where r.type = 'DIRECT';
    insert into messages (id, room_id, seq, change_seq, sender_id, recipient_id, client_message_id, content, created_at, inbox_low, inbox_high)
      select gen_random_uuid(), r.id, s, s, case when s % 2 = 0 then coalesce(r.direct_high, 'user-7') else 'user-1' end,
        r.direct_high, 'c' || s, 'word' || s % 997 || ' and more of the kind', now(),
        case when r.type = 'DIRECT' then s end, case when r.type = 'DIRECT' then s end
      from rooms r, generate_series(1, r.last_seq) s;
    ${analyze ? "analyze;" : ""}`);
}

const roomAt = (i: number): RoomId => `00000000-0000-7000-8000-${String(i).padStart(12, "0")}` as RoomId;
const ada = "user-1" as UserId;
const ben = "user-2" as UserId;

/** Each with how many rows of messages it may look at, at most. */
function questions(db: Database): { name: string; ask: () => Promise<unknown>; rows: number }[] {
  let n = 0;
  const appender = new Appender(db, quietLog);
  const [roomId, last] = [roomAt(1), MESSAGES_A_ROOM + MESSAGES_MORE];
  const page = (ask: Parameters<typeof pageOfRoom>[3]) => () => pageOfRoom(db, roomId, ada, ask);
  const someRooms = new Map(
    Array.from({ length: ROOMS / 2 }, (_, i) => [roomAt(i + 1), i % 2 === 0 ? 1 : last]),
  );
  const someUsers = new Map(Array.from({ length: 300 }, (_, i) => [`user-${i + 1}` as UserId, i * 10]));
  const about = { roomId, userId: ada };
  return [
    { name: "newest page", ask: page({ is: "newest", limit: 50 }), rows: 60 },
    { name: "page before", ask: page({ is: "before", seq: 9_000, limit: 50 }), rows: 60 },
    { name: "page after", ask: page({ is: "after", seq: 9_000, limit: 50 }), rows: 60 },
    { name: "page around", ask: page({ is: "around", seq: 9_000, limit: 50 }), rows: 60 },
    {
      name: "catch-up",
      ask: () => readerChangesSince(db, { ...about, since: last - 20, limit: 200 }),
      rows: 320,
    },
    {
      name: "catch-up, far",
      ask: () => readerChangesSince(db, { ...about, since: 10, limit: 200 }),
      rows: 420,
    },
    { name: "catch-up, anew", ask: () => readerNewest(db, { ...about, limit: 50 }), rows: 160 },
    { name: "stream repair", ask: () => roomChangesSince(db, roomId, last - 3, 500), rows: 10 },
    { name: "inbox", ask: () => inboxChangesSince(db, ada, 890, 500), rows: 30_000 },
    { name: "inbox of few", ask: () => inboxChangesSince(db, "user-9" as UserId, 990, 500), rows: 600 },
    { name: "sweep of rooms", ask: () => roomsAhead(db, someRooms), rows: 0 },
    { name: "sweep of inboxes", ask: () => inboxesAhead(db, someUsers), rows: 0 },
    { name: "room with unread", ask: () => findRoom(db, roomId, ada), rows: 250 },
    {
      name: "rooms with unread",
      ask: () => listRooms(db, "user-9" as UserId, undefined, 50),
      rows: 51 * 110,
    },
    { name: "standings", ask: () => listStandings(db, "user-9" as UserId), rows: 0 },
    {
      name: "members",
      ask: () => listMembers(db, { roomId, banned: false, after: ada, limit: 50 }),
      rows: 0,
    },
    { name: "conversations", ask: () => listConversations(db, ben, undefined, 51), rows: 300 },
    { name: "direct room", ask: () => findDirectRoom(db, directPair(ada, ben).key), rows: 0 },
    {
      name: "search in a room",
      ask: () =>
        searchMessages(db, {
          ...about,
          query: "word13 kind",
          senderId: undefined,
          before: undefined,
          limit: 51,
        }),
      rows: 5_000,
    },
    {
      name: "read marker",
      ask: () => callWrite(db, "mark_read_v1", { ...about, seq: 9_000 + n++ }),
      rows: 250,
    },
    {
      name: "lone send",
      ask: () => send({ db, appender }, draftOf(toRoom(roomId), ada, `n${n++}`)).then(stored),
      rows: 10,
    },
    {
      name: "direct send",
      ask: () => send({ db, appender }, draftOf(toUser(ada, ben), ada, `n${n++}`)).then(stored),
      rows: 10,
    },
    {
      name: "300 sends in 100 rooms",
      ask: () =>
        Promise.all(
          Array.from({ length: 300 }, (_, i) =>
            send({ db, appender }, draftOf(toRoom(roomAt(1 + i % 100)), ada, `n${n++}`)).then(stored)),
        ),
      rows: 1_500,
    },
  ];
}

const READ_WHOLE = ["messages", "memberships", "rooms", "users"];

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

for (const analyzed of [true, false]) {
  Deno.test(`questions are answered by indexes, ${analyzed ? "with" : "without"} statistics`, async (t) => {
    await using database = await createTestDatabase();
    const sql = connect(database.url, 1);
    await using stack = new AsyncDisposableStack();
    stack.defer(() => sql.end());
    await sql.unsafe(
      `alter table messages set (autovacuum_enabled = off); alter table memberships set (autovacuum_enabled = off)`,
    );
    await fill(sql, analyzed);
    await using watched = new Watched(database.url);
    for (const { name, ask, rows } of questions(watched.db)) {
      await t.step(name, async () => {
        const plans = await watched.plansOf(ask);
        ok(plans.length >= ASKED, `${plans.length} plans were told`);
        if (Deno.env.get("SHOW") === name + analyzed) {
          for (const e of plans.slice(-12)) {
            Deno.writeTextFileSync("/tmp/plans.jsonl", JSON.stringify([name, e]) + "\n", { append: true });
          }
        }
        const nodes = plans.flatMap(({ Plan }) => nodesOf(Plan));
        const whole = nodes.filter((node) =>
          node["Node Type"] === "Seq Scan" && READ_WHOLE.includes(node["Relation Name"] ?? "")
        );
        if (whole.length > 0) {
          console.log(
            JSON.stringify(plans.find(({ Plan }) => nodesOf(Plan).some((n) => whole.includes(n))), null, 1)
              .slice(0, 6000),
          );
        }
        deepStrictEqual(whole.map((node) => node["Relation Name"]), []);
        const looked = nodes.filter((node) =>
          node["Relation Name"] === "messages" && node["Node Type"] !== "ModifyTable"
        )
          .reduce((sum, node) =>
            sum + (node["Actual Rows"] ?? 0) * (node["Actual Loops"] ?? 1) +
            (node["Rows Removed by Filter"] ?? 0), 0) / ASKED;
        console.log(name, Math.round(looked));
        ok(looked <= rows, `${looked} rows of messages were looked at, not ${rows}`);
      });
    }
  });
}
