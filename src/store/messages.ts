/** Messages: pages of history, and conversations. Search: search.ts. They are written by the appender and migrations/0003. */
import type { RoomId, UserId } from "../protocol/ids.ts";
import { PAGE_BYTES_MAX } from "../protocol/limits.ts";
import type { Reader } from "./database.ts";

export type PageAsk =
  | { is: "newest"; limit: number }
  | { is: "before"; seq: number; limit: number }
  | { is: "after"; seq: number; limit: number }
  | { is: "around"; seq: number; limit: number };

export interface Page {
  roomId: RoomId;
  /** Where the asker's inbox stands. */
  inboxSeq: number;
  epoch: string;
  lastSeq: number;
  oldestSeq: number;
  /** The wire's messages in the order of seq. */
  messages: string[];
  hasMoreBefore: boolean;
  hasMoreAfter: boolean;
}

interface PageRow {
  inboxSeq: number;
  epoch: string;
  lastSeq: number;
  oldestSeq: number;
  seq: number | null;
  json: string;
  later: boolean;
}

/**
 * A page by keyset on seq; undefined if the asker is not a member (or the room is gone), told by the same
 * statement that reads the rows. Each side is read one row further, to know whether there is more.
 */
export async function pageOfRoom(
  db: Reader,
  roomId: RoomId,
  userId: UserId,
  ask: PageAsk,
): Promise<Page | undefined> {
  const { pivot, earlier, later } = sidesOf(ask);
  const rows = await db.read<PageRow>((sql) =>
    sql`with head as (
        select s.epoch, r.last_seq as "lastSeq", r.oldest_seq as "oldestSeq", u.inbox_seq as "inboxSeq"
        from server_state s, rooms r, users u
        where r.id = ${roomId} and r.deleted_at is null and u.id = ${userId} and exists (
          select from memberships m where m.room_id = r.id and m.user_id = u.id and m.left_seq is null)
      ), page as (
        (select m.seq, message_json_v1(m) as json, false as later from messages m
          where m.room_id = ${roomId} and m.seq <= ${pivot} order by m.seq desc limit ${earlier + 1})
        union all
        (select m.seq, message_json_v1(m), true from messages m
          where m.room_id = ${roomId} and m.seq > ${pivot} order by m.seq limit ${later + 1})
      )
      select h.*, p.* from head h left join page p on true order by p.seq`
  );
  const first = rows[0];
  if (first === undefined) return undefined;
  const before = rows.filter((row) => row.seq !== null && !row.later);
  const after = rows.filter((row) => row.later);
  // nearest to the pivot first: what does not fit is on a further page
  const nearBefore = fitting(
    before.reverse().slice(0, earlier),
    PAGE_BYTES_MAX / (later > 0 && earlier > 0 ? 2 : 1),
  );
  const nearAfter = fitting(after.slice(0, later), PAGE_BYTES_MAX / (later > 0 && earlier > 0 ? 2 : 1));
  return {
    roomId,
    inboxSeq: first.inboxSeq,
    epoch: first.epoch,
    lastSeq: first.lastSeq,
    oldestSeq: first.oldestSeq,
    messages: [...nearBefore.reverse(), ...nearAfter].map((row) => row.json),
    hasMoreBefore: before.length > nearBefore.length,
    hasMoreAfter: after.length > nearAfter.length,
  };
}

/** As many as fit, at least one. */
export function fitting<T extends { json: string }>(rows: readonly T[], maxBytes: number): T[] {
  let bytes = 0;
  const end = rows.findIndex(({ json }, i) => (bytes += json.length) > maxBytes && i > 0);
  return rows.slice(0, end < 0 ? rows.length : end);
}

/** How many rows at or below the pivot, and how many above it. */
function sidesOf(ask: PageAsk): { pivot: number; earlier: number; later: number } {
  switch (ask.is) {
    case "newest":
      return { pivot: Number.MAX_SAFE_INTEGER, earlier: ask.limit, later: 0 };
    case "before":
      return { pivot: ask.seq - 1, earlier: ask.limit, later: 0 };
    case "after":
      return { pivot: ask.seq, earlier: 0, later: ask.limit };
    case "around":
      return { pivot: ask.seq, earlier: Math.ceil(ask.limit / 2), later: Math.floor(ask.limit / 2) };
  }
}

export interface ConversationRow {
  roomId: RoomId;
  epoch: string;
  lastSeq: number;
  /** The other user's profile. */
  user: string;
  lastMessage: string | null;
  /** The wire's Unread. */
  unread: string;
  /** The place in the list, newest first: a timestamp in UTC as Postgres writes it. */
  at: string;
}

/** Direct rooms by their newest message. */
export function listConversations(
  db: Reader,
  userId: UserId,
  after: { at: string; roomId: RoomId } | undefined,
  limit: number,
): Promise<ConversationRow[]> {
  return db.read<ConversationRow>((sql) =>
    sql`select r.id as "roomId", s.epoch, r.last_seq as "lastSeq", (r.last_message_at at time zone 'UTC')::text as at,
        json_build_object('id', o.id, 'name', o.name, 'avatarUrl', o.avatar_url)::text as user,
        (select message_json_v1(l) from messages l where l.room_id = r.id order by l.seq desc limit 1) as "lastMessage",
        unread_json_v1(m, r.last_seq) as unread
      from server_state s, memberships m
      join rooms r on r.id = m.room_id and r.type = 'DIRECT' and r.deleted_at is null
      join users o on o.id = case when r.direct_low = ${userId} then r.direct_high else r.direct_low end
      where m.user_id = ${userId} and m.left_seq is null and r.last_seq > 0
        and ${
      after === undefined
        ? sql`true`
        : sql`(r.last_message_at, r.id) < (${after.at}::text::timestamp at time zone 'UTC', ${after.roomId}::uuid)`
    }
      order by r.last_message_at desc, r.id desc limit ${limit}`
  );
}

/** The direct room of two users, if there has been a message. */
export async function findDirectRoom(db: Reader, key: string): Promise<RoomId | undefined> {
  const [row] = await db.read<{ id: RoomId }>((sql) => sql`select id from rooms where direct_key = ${key}`);
  return row?.id;
}
