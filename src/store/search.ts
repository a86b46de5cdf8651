/**
 * Search: one call of search_messages_v1 (migrations/0004_search.sql), which knows who may find what. What is looked
 * for comes ready-made from chat/search_query.ts.
 */
import type { MessageId, RoomId, UserId } from "../protocol/ids.ts";
import type { MessageType } from "../protocol/models.ts";
import type { Database } from "./database.ts";

/** A place in the order of time: microseconds since 1970, and the id where they are the same. */
export interface SearchPlace {
  at: string;
  id: MessageId;
}

export interface SearchAsk {
  userId: UserId;
  /** How many matches are ranked together, and how many of them are answered. */
  window: number;
  limit: number;
  rankBy: "words" | "share" | "none";
  words?: string;
  spellings?: string[][];
  likes?: string;
  matches?: string[];
  exact?: string;
  length?: number;
  roomId?: RoomId | undefined;
  senderId?: UserId | undefined;
  type?: MessageType | undefined;
  hasAttachment?: boolean | undefined;
  after?: string | undefined;
  before?: string | undefined;
  /** The window's newest place, and the one that it does not reach. */
  from?: SearchPlace | undefined;
  beyond?: SearchPlace | undefined;
  /** Only what comes after this, by rank. */
  below?: (SearchPlace & { rank: string }) | undefined;
}

export interface SearchFound {
  directRooms: number;
  from: SearchPlace | undefined;
  next: SearchPlace | undefined;
  rows: (SearchPlace & { rank: string; json: string })[];
}

interface SearchRow {
  code: "not_member" | null;
  directRooms: number;
  fromAt: string | null;
  fromId: MessageId | null;
  nextAt: string | null;
  nextId: MessageId | null;
  at: string | null;
  id: MessageId | null;
  rank: string;
  json: string;
}

/** Undefined if the asker is no member of the room that is named. */
export async function searchMessages(db: Database, ask: SearchAsk): Promise<SearchFound | undefined> {
  const rows = await db.read<SearchRow>((sql) =>
    sql`select code, direct_rooms as "directRooms", from_at::text as "fromAt", from_id as "fromId",
        next_at::text as "nextAt", next_id as "nextId", at::text, id, rank::text, message as json
      from search_messages_v1(${JSON.stringify(ask)}::text::jsonb)`
  );
  const first = rows[0];
  if (first === undefined || first.code !== null) return undefined;
  return {
    directRooms: first.directRooms,
    from: toPlace(first.fromAt, first.fromId),
    next: toPlace(first.nextAt, first.nextId),
    rows: rows.flatMap(({ rank, json, ...row }) => {
      const place = toPlace(row.at, row.id);
      return place === undefined ? [] : [{ ...place, rank, json }];
    }),
  };
}

const toPlace = (at: string | null, id: MessageId | null): SearchPlace | undefined =>
  at === null || id === null ? undefined : { at, id };
