/** Rooms: reads, and the calls of the write functions of migrations/0003. Who may is said by the caller. */
import { newRoomId, type RoomId, type UserId } from "../protocol/ids.ts";
import type { RoomType } from "../protocol/models.ts";
import type { DirectPair } from "./appender.ts";
import type { WriteAnswer } from "./changes.ts";
import type { Database, Reader, Sql } from "./database.ts";

const WRITE_FUNCTIONS = [
  "create_room_v1",
  "update_room_v1",
  "delete_room_v1",
  "join_room_v1",
  "leave_room_v1",
  "add_member_v1",
  "update_member_v1",
  "remove_member_v1",
  "edit_message_v1",
  "delete_message_v1",
  "mark_read_v1",
  "mark_unread_v1",
  "set_status_v1",
  "sync_user_v1",
] as const;
export type WriteFunction = (typeof WRITE_FUNCTIONS)[number];

/** One statement for all of them: its first use on a connection costs a second round trip, which may be a long one. */
const WRITE = `select (case $1::text ${
  WRITE_FUNCTIONS.map((name) => `when '${name}' then ${name}($2::text::jsonb)`).join(" ")
} end)::text as answer`;

/** One call of `name(jsonb)`. */
export function callWrite<T extends WriteAnswer>(
  db: Database,
  name: WriteFunction,
  params: object,
): Promise<T> {
  return db.write<T>((sql) => sql.unsafe(WRITE, [name, JSON.stringify(params)], { prepare: true }));
}

/** Opens all connections of writes and has them know the statement, before somebody waits for it. */
export async function warmWrites(db: Database): Promise<void> {
  const calls = Array.from(
    { length: db.writeConnections },
    () => db.write((sql) => sql.unsafe(WRITE, ["", "{}"], { prepare: true })),
  );
  await Promise.all(calls);
}

/** The two users' direct room: the same key from either side. A room id is proposed in case it is the first message. */
export function directPair(one: UserId, other: UserId): DirectPair {
  const [low, high] = one <= other ? [one, other] : [other, one];
  return { key: JSON.stringify([low, high]), low, high, newRoomId: newRoomId() };
}

export interface RoomView {
  id: RoomId;
  type: RoomType;
  courseId: string | null;
  isPrivate: boolean;
  /** The wire's Room. */
  json: string;
  lastSeq: number;
  epoch: string;
  /** The asker's own membership: JSON, and whether it lasts. */
  member: string | null;
  isMember: boolean;
  isBanned: boolean;
  /** Where the asker's inbox stands; 0 if they have never been in the room. */
  inboxSeq: number;
  /** The wire's Unread. */
  unread: string | null;
}

const viewColumns = (sql: Sql) =>
  sql`r.id, r.type, r.course_id as "courseId", r.is_private as "isPrivate", room_json_v1(r) as json, r.last_seq as "lastSeq",
    (select epoch from server_state) as epoch, member_json_v1(m, u) as member, m.user_id is not null and m.left_seq is null as "isMember",
    coalesce(m.is_blocked, false) as "isBanned", coalesce(u.inbox_seq, 0) as "inboxSeq",
    unread_json_v1(m, r.last_seq) as unread`;

/** A room that is not deleted, with the asker's own place in it. */
export async function findRoom(db: Reader, roomId: RoomId, userId: UserId): Promise<RoomView | undefined> {
  const [row] = await db.read<RoomView>((sql) =>
    sql`select ${viewColumns(sql)} from rooms r
      left join memberships m on m.room_id = r.id and m.user_id = ${userId}
      left join users u on u.id = m.user_id
      where r.id = ${roomId} and r.deleted_at is null`
  );
  return row;
}

/** The rooms that the user is a member of, direct rooms apart, by id. */
export function listRooms(
  db: Database,
  userId: UserId,
  after: RoomId | undefined,
  limit: number,
): Promise<RoomView[]> {
  return db.read<RoomView>((sql) =>
    sql`select ${viewColumns(sql)} from memberships m
      join rooms r on r.id = m.room_id join users u on u.id = m.user_id
      where m.user_id = ${userId} and m.left_seq is null and r.deleted_at is null and r.type <> 'DIRECT'
        and ${after === undefined ? sql`true` : sql`r.id > ${after}`}
      order by r.id limit ${limit}`
  );
}

export interface Discovery {
  userId: UserId;
  courses: readonly string[];
  isAdmin: boolean;
  query: string | undefined;
  type: RoomType | undefined;
  courseId: string | undefined;
  /** The last room of the page before. */
  after: { name: string; id: RoomId } | undefined;
  limit: number;
}

/** Listed rooms by name. `like` wildcards of the query stand for themselves. */
export function discoverRooms(db: Database, ask: Discovery): Promise<RoomView[]> {
  const like = ask.query === undefined ? undefined : `%${ask.query.replace(/[\\%_]/g, (c) => `\\${c}`)}%`;
  return db.read<RoomView>((sql) =>
    sql`select ${viewColumns(sql)} from rooms r
      left join memberships m on m.room_id = r.id and m.user_id = ${ask.userId}
      left join users u on u.id = m.user_id
      where r.deleted_at is null and not r.is_private and r.type in ('PUBLIC', 'STUDY_GROUP', 'COURSE')
        and (r.course_id is null or ${ask.isAdmin} or r.course_id in (select jsonb_array_elements_text(${
      JSON.stringify(ask.courses)
    }::text::jsonb)))
        and not coalesce(m.is_blocked, false)
        and ${ask.type === undefined ? sql`true` : sql`r.type = ${ask.type}`}
        and ${ask.courseId === undefined ? sql`true` : sql`r.course_id = ${ask.courseId}`}
        and ${like === undefined ? sql`true` : sql`(r.name ilike ${like} or r.description ilike ${like})`}
        and ${
      ask.after === undefined
        ? sql`true`
        : sql`(lower(r.name), r.id) > (lower(${ask.after.name}), ${ask.after.id}::uuid)`
    }
      order by lower(r.name), r.id limit ${ask.limit}`
  );
}

/** A map as a jsonb parameter: arrays would need the types of the catalogue. */
const toJson = (seen: ReadonlyMap<string, number>): string => JSON.stringify(Object.fromEntries(seen));

/** Of the rooms given with the seq that the asker has seen, those that are further. */
export async function roomsAhead(
  db: Database,
  seen: ReadonlyMap<RoomId, number>,
): Promise<Map<RoomId, number>> {
  const rows = await db.read<{ id: RoomId; lastSeq: number }>((sql) =>
    sql`select r.id, r.last_seq as "lastSeq" from jsonb_each_text(${toJson(seen)}::text::jsonb) s(id, seq)
      join rooms r on r.id = s.id::uuid where r.last_seq > s.seq::bigint`
  );
  return new Map(rows.map((row) => [row.id, row.lastSeq]));
}

/** The same of users' inboxes. */
export async function inboxesAhead(
  db: Database,
  seen: ReadonlyMap<UserId, number>,
): Promise<Map<UserId, number>> {
  const rows = await db.read<{ id: UserId; seq: number }>((sql) =>
    sql`select u.id, u.inbox_seq as seq from jsonb_each_text(${toJson(seen)}::text::jsonb) s(id, seq)
      join users u on u.id = s.id where u.inbox_seq > s.seq::bigint`
  );
  return new Map(rows.map((row) => [row.id, row.seq]));
}

export async function readEpoch(db: Database): Promise<string> {
  const [row] = await db.read<{ epoch: string }>((sql) => sql`select epoch from server_state`);
  return row?.epoch ?? "";
}

/** After a restore, or a failover that lost writes: every position that clients hold is void. */
export async function renewEpoch(db: Database): Promise<string> {
  const [row] = await db.read<{ epoch: string }>((sql) =>
    sql`update server_state set epoch = gen_random_uuid()::text returning epoch`
  );
  return row?.epoch ?? "";
}

/** Removes old messages of one room; see retain_v1. */
export function retain(
  db: Database,
  cutoff: Date,
  maxRows: number,
): Promise<WriteAnswer & { more: boolean; removed: number }> {
  return db.write((sql) => sql`select retain_v1(${cutoff}, ${maxRows})::text as answer`);
}
