/** What search costs those who write: the same messages appended with and without it, in turns. */
import postgres from "postgres";
import { v7 } from "uuid";

export interface Appends {
  /** Rows of a call, and messages a second of the best round. */
  rows: number;
  withSearch: number;
  without: number;
}

const ROOMS = 8;
const ROUNDS = 6;
const CALLS = 40;

export async function compareAppends(
  withUrl: string,
  withoutUrl: string,
  texts: readonly string[],
): Promise<Appends[]> {
  const results: Appends[] = [];
  for (const rows of [1, 100]) {
    const best = { withSearch: 0, without: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const part = texts.slice(round * rows * CALLS);
      best.withSearch = Math.max(best.withSearch, await appendAll(withUrl, part, rows));
      best.without = Math.max(best.without, await appendAll(withoutUrl, part, rows));
    }
    results.push({ rows, ...best });
  }
  return results;
}

async function appendAll(url: string, texts: readonly string[], rows: number): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, fetch_types: false });
  try {
    await sql`insert into users (id, name) values ('writer', 'Writer') on conflict do nothing`;
    const rooms = Array.from({ length: ROOMS }, () => v7());
    for (const id of rooms) {
      await sql`insert into rooms (id, name, type, created_by, member_count) values (${id}, 'Room', 'PUBLIC', 'writer', 1)`;
      await sql`insert into memberships (room_id, user_id, joined_seq, change_seq) values (${id}, 'writer', 0, 0)`;
    }
    const calls = Array.from(
      { length: rows === 1 ? CALLS * 10 : CALLS },
      (_, call) =>
        JSON.stringify(Array.from({ length: rows }, (_, i) => {
          const id = v7();
          const content = texts[(call * rows + i) % texts.length];
          const roomId = rooms[i % ROOMS];
          return {
            id,
            roomId,
            senderId: "writer",
            clientMessageId: id,
            content,
            type: "TEXT",
            attachments: [],
          };
        })),
    );
    const append = (items: string) => sql`select code from append_messages_v1(${items}::text::jsonb)`;
    await append(calls[0] ?? "[]");
    const began = performance.now();
    for (const items of calls.slice(1)) {
      const refused = (await append(items)).find(({ code }) => code !== null);
      if (refused !== undefined) throw new Error(`An append was refused: ${refused.code}`);
    }
    return Math.round((calls.length - 1) * rows / ((performance.now() - began) / 1000));
  } finally {
    await sql.end();
  }
}
