/** Memberships: who is in a room. Writes go through callWrite in rooms.ts. */
import type { RoomId, UserId } from "../protocol/ids.ts";
import type { Database, Reader } from "./database.ts";

export interface MemberRow {
  userId: UserId;
  /** The wire's Member. */
  json: string;
}

/** Members by user id; or, for moderators, those who are banned. */
export function listMembers(
  db: Reader,
  ask: { roomId: RoomId; banned: boolean; after: UserId | undefined; limit: number },
): Promise<MemberRow[]> {
  return db.read<MemberRow>((sql) =>
    sql`select m.user_id as "userId", member_json_v1(m, u) as json from memberships m join users u on u.id = m.user_id
      where m.room_id = ${ask.roomId} and ${ask.banned ? sql`m.is_blocked` : sql`m.left_seq is null`}
        and ${ask.after === undefined ? sql`true` : sql`m.user_id > ${ask.after}`}
      order by m.user_id limit ${ask.limit}`
  );
}

export interface Standing {
  roomId: RoomId;
  lastSeq: number;
  type: string;
}

/** Every room the user is in, with where it stands, and the inbox, all at one moment. */
export async function listStandings(
  db: Database,
  userId: UserId,
): Promise<{ epoch: string; inboxSeq: number; rooms: Standing[] }> {
  const rows = await db.read<Standing & { epoch: string; inboxSeq: number; roomId: RoomId | null }>((sql) =>
    sql`select s.epoch, u.inbox_seq as "inboxSeq", r.id as "roomId", r.last_seq as "lastSeq", r.type
      from server_state s join users u on u.id = ${userId}
      left join (memberships m join rooms r on r.id = m.room_id and r.deleted_at is null)
        on m.user_id = u.id and m.left_seq is null
      order by r.last_message_at desc, r.id`
  );
  const first = rows[0];
  return {
    epoch: first?.epoch ?? "",
    inboxSeq: first?.inboxSeq ?? 0,
    rooms: rows.filter((row) => row.roomId !== null).map(({ roomId, lastSeq, type }) => ({
      roomId,
      lastSeq,
      type,
    })),
  };
}

/** The wire's Member, of one who is or was in the room. */
export async function findMember(db: Database, roomId: RoomId, userId: UserId): Promise<string | undefined> {
  const [row] = await db.read<{ json: string }>((sql) =>
    sql`select member_json_v1(m, u) as json from memberships m join users u on u.id = m.user_id
      where m.room_id = ${roomId} and m.user_id = ${userId}`
  );
  return row?.json;
}

export interface Typist {
  isMuted: boolean;
  /** A direct room whose messages are stopped by a block. */
  isStopped: boolean;
  /** Of a direct room: the other user, or oneself. */
  other: UserId | null;
}

/** Undefined if the user is no member. */
export async function findTypist(db: Database, roomId: RoomId, userId: UserId): Promise<Typist | undefined> {
  const [row] = await db.read<Typist>((sql) =>
    sql`select m.is_muted as "isMuted", r.type = 'DIRECT' and are_blocked_v1(r.direct_low, r.direct_high) as "isStopped",
        case when r.direct_low = ${userId} then r.direct_high else r.direct_low end as other
      from memberships m join rooms r on r.id = m.room_id and r.deleted_at is null
      where m.room_id = ${roomId} and m.user_id = ${userId} and m.left_seq is null`
  );
  return row;
}
