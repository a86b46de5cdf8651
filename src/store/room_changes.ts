/**
 * What changed in a room since a seq, and where the room stands, told by one statement: a position read apart
 * from its rows would leave holes. A row is in its present state and stands at its newest change.
 */
import type { RoomId, UserId } from "../protocol/ids.ts";
import { READ_MARKERS_MEMBERS_MAX } from "../protocol/limits.ts";
import type { MemberRole, RoomType } from "../protocol/models.ts";
import type { MessageChange, RoomChange } from "./changes.ts";
import type { Database, Sql } from "./database.ts";

export interface RoomStanding {
  epoch: string;
  /** Everything up to here is in `changes`, unless `more`. */
  lastSeq: number;
  oldestSeq: number;
  isDeleted: boolean;
}

/** The asker's own view, for a catch-up. */
export interface ReaderStanding extends RoomStanding {
  role: MemberRole | null;
  type: RoomType;
  room: string;
  member: string;
  /** JSON array of read markers: everybody's in a small room, else one's own. */
  markers: string;
  /** The wire's Unread. */
  unread: string;
}

export interface RoomChanges<S> {
  standing: S;
  /** In the order of seq. */
  changes: RoomChange[];
  more: boolean;
}

interface ChangeRow {
  kind: RoomChange["kind"] | null;
  seq: number;
  firstSeq: number;
  ended: boolean;
  userId: UserId;
  json: string;
}

const changeRows = (sql: Sql, roomId: RoomId, since: number, limit: number) =>
  sql`(select 'message' as kind, m.change_seq as seq, m.seq as "firstSeq", m.is_deleted as ended, m.sender_id as "userId", message_json_v1(m) as json
      from messages m where m.room_id = ${roomId} and m.change_seq > ${since} order by m.change_seq limit ${
    limit + 1
  })
    union all
    (select 'membership', m.change_seq, coalesce(m.left_seq, m.joined_seq), m.left_seq is not null, m.user_id, member_json_v1(m, u)
      from memberships m join users u on u.id = m.user_id
      where m.room_id = ${roomId} and m.change_seq > 0 and m.change_seq > ${since}
      order by m.change_seq limit ${limit + 1})
    union all
    (select 'room', r.meta_change_seq, r.meta_change_seq, r.deleted_at is not null, r.created_by, room_json_v1(r)
      from rooms r where r.id = ${roomId} and r.meta_change_seq > ${since})`;

/** `head`: a ReaderStanding as JSON. Materialized by its users, or it would be read again for every row. */
const readerHead = (sql: Sql, { roomId, userId }: { roomId: RoomId; userId: UserId }) =>
  sql`select row_to_json(t)::text as head, t.role from (select ${readerColumns(sql)}
    from server_state s join rooms r on r.id = ${roomId}
    join memberships m on m.room_id = r.id and m.user_id = ${userId} join users u on u.id = m.user_id) t`;

const readerColumns = (sql: Sql) =>
  sql`s.epoch, r.last_seq as "lastSeq", r.oldest_seq as "oldestSeq", r.deleted_at is not null as "isDeleted",
    case when m.left_seq is null then m.role end as role, r.type, room_json_v1(r) as room, member_json_v1(m, u) as member,
    unread_json_v1(m, r.last_seq) as unread,
    (case when r.member_count <= ${READ_MARKERS_MEMBERS_MAX} then (
        select coalesce(json_agg(${markerOf(sql, "x")} order by x.user_id), '[]')
        from memberships x where x.room_id = r.id and x.left_seq is null)
      else json_build_array(${markerOf(sql, "m")}) end)::text as markers`;

const markerOf = (sql: Sql, m: "m" | "x") =>
  sql`json_build_object('userId', ${sql(m)}.user_id, 'lastReadSeq', ${
    sql(m)
  }.last_read_seq, 'lastReadAt', iso_v1(${sql(m)}.last_read_at))`;

/** When a user was in the room, the last time: both ends belong to it, and it may not have ended. */
export interface Stay {
  from: number;
  to: number | null;
}

/** For the node's own stream. */
export interface StreamChanges extends RoomChanges<RoomStanding> {
  /** Those who were not in the room for all of what changed: when they were, as far as anybody knows now. */
  stays: ReadonlyMap<UserId, Stay>;
}

/** No reader, at most `limit` changes. Undefined if there is no such room. */
export async function roomChangesSince(
  db: Database,
  roomId: RoomId,
  since: number,
  limit: number,
): Promise<StreamChanges | undefined> {
  const rows = await db.read<RoomStanding & ChangeRow>((sql) =>
    sql`select s.epoch, r.last_seq as "lastSeq", r.oldest_seq as "oldestSeq", r.deleted_at is not null as "isDeleted", c.*
      from server_state s join rooms r on r.id = ${roomId} join (
        ${changeRows(sql, roomId, since, limit)}
        union all
        (select null, ${since}::bigint, 0, false, '', coalesce(
            json_object_agg(m.user_id, json_build_object('from', m.joined_seq, 'to', m.left_seq)), '{}')::text
          from memberships m where m.room_id = ${roomId} and m.change_seq > 0 and m.change_seq > ${since}
            and (m.left_seq is not null or m.joined_seq > ${since}))
      ) c on true
      order by c.seq limit ${limit + 2}`
  );
  const first = rows.shift(); // the stays are no change: they stand at `since`, before all others
  if (first === undefined) return undefined;
  const stays = new Map(Object.entries(JSON.parse(first.json)) as [UserId, Stay][]);
  return { ...gather(first, rows, roomId, limit), stays };
}

/** For one reader; undefined if there is no such room or the reader was never in it. */
export async function readerChangesSince(
  db: Database,
  ask: { roomId: RoomId; userId: UserId; since: number; limit: number },
): Promise<RoomChanges<ReaderStanding> | undefined> {
  const rows = await db.read<ReaderRow>((sql) =>
    sql`with h as materialized (${readerHead(sql, ask)})
      select case when row_number() over (order by c.seq) = 1 then h.head end as head, c.*
      from h left join (${changeRows(sql, ask.roomId, ask.since, ask.limit)}) c on h.role is not null
      order by c.seq limit ${ask.limit + 1}`
  );
  return gatherRead(rows, ask);
}

/** For a reader who starts anew: the newest page, oldest first. */
export async function readerNewest(
  db: Database,
  ask: { roomId: RoomId; userId: UserId; limit: number },
): Promise<RoomChanges<ReaderStanding> | undefined> {
  const rows = await db.read<ReaderRow>((sql) =>
    sql`with h as materialized (${readerHead(sql, ask)})
      select case when row_number() over (order by c.seq desc) = 1 then h.head end as head, c.*
      from h left join (
        select 'message' as kind, m.seq, m.seq as "firstSeq", m.is_deleted as ended, m.sender_id as "userId", message_json_v1(m) as json
        from messages m where m.room_id = ${ask.roomId} order by m.seq desc limit ${ask.limit + 1}
      ) c on h.role is not null order by c.seq desc`
  );
  const found = gatherRead(rows, ask);
  found?.changes.reverse();
  return found;
}

/** What is told once rides on the first row alone: read markers may be 10 KB. */
type ReaderRow = ChangeRow & { head: string | null };

function gatherRead(
  rows: readonly ReaderRow[],
  { roomId, limit }: { roomId: RoomId; limit: number },
): RoomChanges<ReaderStanding> | undefined {
  const head = rows[0]?.head;
  return head ? gather<ReaderStanding>(JSON.parse(head), rows, roomId, limit) : undefined;
}

function gather<S extends RoomStanding>(
  standing: S,
  rows: readonly ChangeRow[],
  roomId: RoomId,
  limit: number,
): RoomChanges<S> {
  const changes = rows.slice(0, limit).filter((row) => row.kind !== null).map((row) => toChange(row, roomId));
  return { standing, changes, more: rows.length > limit };
}

function toChange(row: ChangeRow, roomId: RoomId): RoomChange {
  const { seq, firstSeq, ended, json } = row;
  if (row.kind === "membership") {
    return { kind: "membership", roomId, seq, firstSeq, ended, json, userId: row.userId };
  }
  if (row.kind === "room") return { kind: "room", roomId, seq, ended, json, direct: undefined };
  return { kind: "message", roomId, seq, firstSeq, ended, json, direct: undefined } satisfies MessageChange;
}
