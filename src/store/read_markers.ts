/** Read markers: who has read a message, and what a user has not. Writes go through callWrite in rooms.ts. */
import type { MessageId, RoomId, UserId } from "../protocol/ids.ts";
import { UNREAD_ROOMS_MAX } from "../protocol/limits.ts";
import type { Database } from "./database.ts";

export interface ReaderRow {
  userId: UserId;
  /** The reader's profile, and the wire's ReadMarker, in one object. */
  json: string;
}

/** Members who were there and whose marker has passed the message, its sender apart, by user id; undefined if the asker is no member. */
export async function listReaders(
  db: Database,
  ask: { messageId: MessageId; userId: UserId; after: UserId | undefined; limit: number },
): Promise<ReaderRow[] | undefined> {
  const rows = await db.read<ReaderRow | { userId: null; json: null }>((sql) =>
    sql`select x.* from messages m
      join rooms r on r.id = m.room_id and r.deleted_at is null
      join memberships a on a.room_id = m.room_id and a.user_id = ${ask.userId} and a.left_seq is null
      left join lateral (
        select s.user_id as "userId", json_build_object('user', profile_json_v1(s.user_id)::json, 'userId', s.user_id,
          'lastReadSeq', s.last_read_seq, 'lastReadAt', iso_v1(s.last_read_at))::text as json
        from memberships s where s.room_id = m.room_id and s.left_seq is null and s.user_id <> m.sender_id
          and s.last_read_seq >= m.seq and s.joined_seq <= m.seq
          and ${ask.after === undefined ? sql`true` : sql`s.user_id > ${ask.after}`}
        order by s.user_id limit ${ask.limit}
      ) x on true
      where m.id = ${ask.messageId} order by x."userId"`
  );
  if (rows.length === 0) return undefined;
  return rows.filter((row): row is ReaderRow => row.userId !== null);
}

/** The wire's Unread of every room of the user that has some, the rooms with the newest messages first. */
export function listUnread(db: Database, userId: UserId): Promise<{ roomId: RoomId; unread: string }[]> {
  return db.read((sql) =>
    sql`select t."roomId", t.unread from (
        select r.id as "roomId", r.last_message_at, unread_json_v1(m, r.last_seq) as unread
        from memberships m join rooms r on r.id = m.room_id and r.deleted_at is null
        where m.user_id = ${userId} and m.left_seq is null and r.last_seq > unread_after_v1(m)
        order by r.last_message_at desc limit ${UNREAD_ROOMS_MAX}
      ) t where t.unread not like '{"count":0,%' order by t.last_message_at desc`
  );
}
