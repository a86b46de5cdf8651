/**
 * What changed in a user's inbox since a place in it: memberships made, changed or ended, and whatever
 * changed in direct rooms. One statement, so that the rows and `lastSeq` belong together.
 */
import type { RoomId, UserId } from "../protocol/ids.ts";
import type { Database } from "./database.ts";

/** One row of the repair, in the order of the inbox and, within a room, of the room. */
export interface InboxRow {
  kind: "message" | "room" | "membership";
  roomId: RoomId;
  /** The place in the inbox. */
  inboxSeq: number;
  /** The place in the room; and, of a message, the one it was made with. */
  seq: number;
  firstSeq: number;
  /** Of direct rooms: all up to here in the room was known at the place asked from. */
  base: number;
  ended: boolean;
  /** Of messages and memberships: began after the place asked from. Of memberships: why it ended; whose room it is. */
  isNew: boolean;
  reason: string | null;
  isCreator: boolean;
  json: string;
  member: string | null;
}

export async function inboxChangesSince(
  db: Database,
  userId: UserId,
  since: number,
  limit: number,
): Promise<{ lastSeq: number; rows: InboxRow[]; more: boolean } | undefined> {
  const rows = await db.read<InboxRow & { lastSeq: number; kind: InboxRow["kind"] | null }>((sql) =>
    sql`with touched as (
        select m.*, r.type, r.direct_low, r.direct_high, r.meta_change_seq, r.deleted_at
        from memberships m join rooms r on r.id = m.room_id
        where m.user_id = ${userId} and m.inbox_change_seq > ${since} -- all: a room told of late may hold early rows
      ), direct as (
        -- what the reader had of the room: its newest row that the inbox had already told of
        select t.*, coalesce((
          select x.change_seq from messages x where x.room_id = t.room_id
            and (case when t.direct_low = ${userId} then x.inbox_low else x.inbox_high end) <= ${since}
          order by x.change_seq desc limit 1), 0) as base
        from touched t where t.type = 'DIRECT'
      ), found as (
        select 'message' as kind, d.room_id as "roomId", x.inbox_seq as "inboxSeq", x.change_seq as seq, x.seq as "firstSeq", d.base,
          x.is_deleted as ended, x.first_inbox > ${since} as "isNew", null::text as reason, false as "isCreator", x.json, null::text as member
        from direct d cross join lateral (
          select m.change_seq, m.seq, m.is_deleted, message_json_v1(m) as json,
            case when d.direct_low = ${userId} then m.inbox_low else m.inbox_high end as inbox_seq,
            case when d.direct_low = ${userId} then m.first_inbox_low else m.first_inbox_high end as first_inbox
          from messages m where m.room_id = d.room_id and m.change_seq > d.base order by m.change_seq limit ${
      limit + 1
    }) x
        union all
        select 'room', d.room_id, d.inbox_change_seq, d.meta_change_seq, d.meta_change_seq, d.base, false, false, null, false,
          (select room_json_v1(r) from rooms r where r.id = d.room_id), null
        from direct d where d.meta_change_seq > d.base
        union all
        select 'membership', t.room_id, t.inbox_change_seq, t.change_seq, t.joined_seq, 0,
          t.left_seq is not null or t.deleted_at is not null, t.joined_inbox_seq > ${since},
          case when t.left_seq is null then 'deleted' else t.left_reason end,
          (select r.created_by from rooms r where r.id = t.room_id) = t.user_id and t.joined_seq <= 2,
          (select room_json_v1(r) from rooms r where r.id = t.room_id),
          (select member_json_v1(m, u) from memberships m join users u on u.id = m.user_id
            where m.room_id = t.room_id and m.user_id = t.user_id)
        from touched t where t.type <> 'DIRECT'
      )
      select u.inbox_seq as "lastSeq", f.* from users u left join found f on true
      where u.id = ${userId} order by f."inboxSeq", f.seq limit ${limit + 1}`
  );
  const first = rows[0];
  if (first === undefined) return undefined;
  const found = rows.filter((row) => row.kind !== null);
  return { lastSeq: first.lastSeq, rows: found.slice(0, limit), more: found.length > limit };
}
