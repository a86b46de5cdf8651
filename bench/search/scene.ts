/**
 * The scene of the search figures: rooms of very different size, their members, and the corpus said in them in the
 * course of a year, written as rows (the appender has figures of its own).
 */
import type postgres from "postgres";
import { v7 } from "uuid";
import { seeded } from "../../tests/store/fixture.ts";
import { type Line, makeLines } from "./corpus.ts";

const ROOMS = 200;
/** Of all messages: what the one big room has. */
const BIG_SHARE = 1 / 3;
const YEAR_MS = 365 * 24 * 3_600_000;
const BEGAN = Date.UTC(2025, 0, 1);
const CHUNK = 5_000;

const roomAt = (index: number): string =>
  `00000000-0000-7000-8000-${(0xabc000000000 + index * 7_919).toString(16).padStart(12, "0")}`;

/** Who asks, and which rooms they are members of. */
export const CALLERS = [
  { name: "a member of all 200 rooms", rooms: Array.from({ length: ROOMS }, (_, i) => roomAt(i)) },
  { name: "a member of five rooms", rooms: Array.from({ length: 5 }, (_, i) => roomAt(20 + i)) },
] as const;

export interface Said {
  roomId: string;
  nick: string;
  text: string;
  at: number;
}

export async function setScene(sql: postgres.Sql, recorded: readonly Line[], count: number): Promise<Said[]> {
  const random = seeded(7);
  const nicks = [...new Set(recorded.map(({ nick }) => nick))];
  const users = [...nicks, ...CALLERS.map(({ name }) => name)];
  await sql`insert into users (id, name) select u, u from jsonb_array_elements_text(${
    JSON.stringify(users)
  }::text::jsonb) u`;
  const rooms = Array.from({ length: ROOMS }, (_, i) => roomAt(i));
  await sql`insert into rooms (id, name, type, created_by, member_count)
    select r::uuid, 'Room', 'PUBLIC', ${nicks[0] ?? ""}, 2 from jsonb_array_elements_text(${
    JSON.stringify(rooms)
  }::text::jsonb) r`;
  for (const { name, rooms } of CALLERS) {
    await sql`insert into memberships (room_id, user_id, joined_seq, change_seq)
      select r::uuid, ${name}, 0, 0 from jsonb_array_elements_text(${JSON.stringify(rooms)}::text::jsonb) r`;
  }
  const said: Said[] = [];
  const seqs = new Map<string, number>();
  let rows: unknown[] = [];
  const flush = async (): Promise<void> => {
    await sql`insert into messages (id, room_id, seq, change_seq, sender_id, client_message_id, content, created_at)
      select id, "roomId", seq, seq, nick, id::text, text, to_timestamp(at / 1000.0)
      from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb)
        as t(id uuid, "roomId" uuid, seq bigint, nick text, text text, at float8)`;
    rows = [];
  };
  let at = BEGAN;
  for (const line of makeLines(recorded, count, random)) {
    at += random() * 2 * YEAR_MS / count;
    // the smaller the index, the busier the room
    const index = random() < BIG_SHARE ? 0 : 1 + Math.floor(random() ** 1.5 * (ROOMS - 1));
    const roomId = roomAt(index);
    const seq = (seqs.get(roomId) ?? 0) + 1;
    seqs.set(roomId, seq);
    said.push({ roomId, nick: line.nick, text: line.text, at });
    rows.push({ id: v7({ msecs: Math.floor(at) }), roomId, seq, nick: line.nick, text: line.text, at });
    if (rows.length === CHUNK) await flush();
  }
  if (rows.length > 0) await flush();
  await sql`update rooms r set last_seq = coalesce((select max(seq) from messages m where m.room_id = r.id), 0)`;
  await sql`analyze`; // no vacuum: what waits for its place in an index waits
  return said;
}
