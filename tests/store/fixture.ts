/**
 * Nodes' stores on one database of their own: what a node has of Postgres (Database and Appender), several
 * times, and a connection beside them that sets scenes and looks at what was stored.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { type MessageId, newMessageId, newRoomId, type RoomId, type UserId } from "../../src/protocol/ids.ts";
import { type Appended, Appender, type Draft } from "../../src/store/appender.ts";
import type { WriteAnswer } from "../../src/store/changes.ts";
import { Database } from "../../src/store/database.ts";
import type { Link } from "../../src/store/link.ts";
import { callWrite, directPair, type WriteFunction } from "../../src/store/rooms.ts";
import { syncUser } from "../../src/store/users.ts";
import { createTestDatabase, quietLog } from "../helpers/databases.ts";

export interface StoreNode {
  readonly db: Database;
  readonly appender: Appender;
}

export interface StoreOptions {
  nodes?: number;
  lanes?: number;
  timeoutMs?: number;
  prepare?: boolean;
  /** Another server than the tests' own. */
  server?: string;
  /** From the database's own URL to the one that the nodes use: a pooler, say. */
  through?: (url: string) => string;
}

export type Stored = Extract<Appended, { code: null }>;

export class TestStore implements AsyncDisposable {
  readonly nodes: readonly StoreNode[];
  /** Straight to the server. */
  readonly sql: postgres.Sql<{ bigint: number }>;
  readonly url: string;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    uses: {
      url: string;
      sql: postgres.Sql<{ bigint: number }>;
      nodes: StoreNode[];
      parts: AsyncDisposableStack;
    },
  ) {
    this.url = uses.url;
    this.sql = uses.sql;
    this.nodes = uses.nodes;
    this.#parts = uses.parts;
  }

  static async open(options: StoreOptions = {}): Promise<TestStore> {
    await using parts = new AsyncDisposableStack();
    const { url } = parts.use(await createTestDatabase(options.server));
    const sql = connect(url);
    parts.defer(() => sql.end({ timeout: 2 }));
    const nodes = Array.from({ length: options.nodes ?? 1 }, () => {
      const db = parts.use(
        new Database({
          url: options.through?.(url) ?? url,
          poolSize: 4,
          appendLanes: options.lanes ?? 2,
          prepare: options.prepare ?? true,
          timeoutMs: options.timeoutMs ?? 20_000, // a busy machine is not what is tested
        }, quietLog),
      );
      return { db, appender: new Appender(db, quietLog) };
    });
    return new TestStore({ url, sql, nodes, parts: parts.move() });
  }

  get node(): StoreNode {
    return this.nodes[0] as StoreNode;
  }

  /** A write function as a node calls it. */
  write<T extends WriteAnswer>(name: WriteFunction, params: object): Promise<T> {
    return callWrite<T>(this.node.db, name, params);
  }

  async users(...names: string[]): Promise<UserId[]> {
    const issuedAt = new Date().toISOString();
    for (const name of names) {
      const claims = {
        userId: name as UserId,
        name,
        avatarUrl: null,
        role: "student",
        courses: [],
        issuedAt,
        limit: 1_000,
      };
      await syncUser(this.node.db, claims);
    }
    return names as UserId[];
  }

  /** A public room; the first of the users owns it, the others join it. */
  async room(users: readonly UserId[]): Promise<RoomId> {
    const id = newRoomId();
    const made = { id, name: "Room", type: "PUBLIC", isPrivate: false, userId: users[0] };
    strictEqual((await this.write("create_room_v1", made)).code, null);
    for (const userId of users.slice(1)) {
      const ask = { roomId: id, userId, isAdmin: false, courses: [], role: "MEMBER", limit: 10_000 };
      strictEqual((await this.write("join_room_v1", ask)).code, null);
    }
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

/** A connection that nobody shares, for scenes: counts are numbers, as in src/store. */
export function connect(url: string, max = 2, { prepare = true } = {}): postgres.Sql<{ bigint: number }> {
  return postgres(url, {
    max,
    prepare,
    onnotice: () => {},
    fetch_types: false,
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  });
}

/** All ways of a node to Postgres. */
export function linksOf({ pool, writes, apart, lanes }: Database): Link[] {
  return [pool, writes, apart, ...lanes];
}

export function toRoom(roomId: RoomId): Draft["target"] {
  return { is: "room", roomId };
}

export function toUser(sender: UserId, recipient: UserId): Draft["target"] {
  return { is: "direct", pair: directPair(sender, recipient) };
}

/** As the door makes it: every try has an id of its own, and its sender's clientMessageId. */
export function draftOf(
  target: Draft["target"],
  senderId: UserId,
  clientMessageId: string,
  more: { content?: string; replyToId?: MessageId } = {},
): Draft {
  return {
    id: newMessageId(),
    target,
    senderId,
    clientMessageId,
    content: more.content ?? `said ${clientMessageId}`,
    type: "TEXT",
    attachmentIds: undefined,
    replyToId: more.replyToId,
    mentions: undefined,
  };
}

export function send(node: StoreNode, draft: Draft): Promise<Appended> {
  return node.appender.append(draft).sent;
}

export function stored(outcome: Appended | undefined): Stored {
  if (outcome?.code !== null) throw new Error(`Not stored: ${outcome?.code}`);
  return outcome;
}

export const idOf = (outcome: Appended | undefined): string => JSON.parse(stored(outcome).message).id;

/** A room's messages run from `first` without a hole, in time's order, and the room stands at the last. */
export async function checkSequence(
  sql: postgres.Sql,
  roomId: RoomId,
  first: number,
  count: number,
): Promise<void> {
  const rows = await sql<{ seq: number; created_at: Date }[]>`
    select seq, created_at from messages where room_id = ${roomId} order by seq`;
  deepStrictEqual(rows.map((row) => row.seq), Array.from({ length: count }, (_, i) => first + i));
  for (const [i, row] of rows.entries()) {
    if (i > 0) strictEqual(row.created_at >= (rows[i - 1]?.created_at ?? row.created_at), true);
  }
  const [room] = await sql<{ last_seq: number }[]>`select last_seq from rooms where id = ${roomId}`;
  strictEqual(room?.last_seq, first + count - 1);
}

/** Asks until it holds; a condition that never comes is told by its name. */
export async function until(
  holds: () => Promise<boolean> | boolean,
  what: string,
  waitMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + waitMs;
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`Waited ${waitMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** How many calls of the appender wait for a lock in this database. */
export async function waitingAppends(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::integer as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like '%append_messages%'`;
  return row?.count ?? 0;
}

/** mulberry32: the same numbers from the same seed. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
