/**
 * Near reads: a reader gets from the replica what is as good as the primary's answer, else the primary's. Good is what knows
 * the reader as a member, holds all that this node has seen of the room and of the reader's inbox, and all that the
 * reader says to know (`minSeq`).
 *
 * For pages of messages and of members. What tells unread counts (a room, a catch-up) is the primary's, for read markers have
 * no seq to hold against; so are sweeps, repairs and the beginnings of streams.
 */
import type { RoomId, UserId } from "../protocol/ids.ts";
import type { Database, Reader } from "../store/database.ts";
import type { Replica } from "../store/replica.ts";
import type { Hub } from "./hub.ts";
import { inboxTopic, roomTopic } from "./pushes.ts";
import { Seen } from "./seen.ts";

/** Where what was found stands. Read with it, or before it from the same server, which never goes back. */
export interface Found {
  roomId: RoomId;
  lastSeq: number;
  /** Of the reader. */
  inboxSeq: number;
}

interface Reading<T> {
  userId: UserId;
  minSeq: number | undefined;
  /** Undefined: there is no such room, or the reader is no member. */
  query: (from: Reader) => Promise<T | undefined>;
}

export class NearReads {
  readonly #db: Database;
  readonly #replica: Replica | undefined;
  readonly #hub: Hub;
  /** Rooms and users whose read markers were moved here. */
  readonly #marks = new Seen();

  constructor(uses: { db: Database; replica: Replica | undefined; hub: Hub }) {
    this.#db = uses.db;
    this.#replica = uses.replica;
    this.#hub = uses.hub;
  }

  async read<T extends Found>({ userId, minSeq = 0, query }: Reading<T>): Promise<T | undefined> {
    const replica = this.#replica;
    if (replica?.isFit) {
      const found = await query(replica).catch(() => undefined); // if it is the query, the primary says so
      if (found !== undefined && found.lastSeq >= minSeq && this.#holdsWhatWasSeen(found, userId)) {
        return found;
      }
    }
    return await query(this.#db);
  }

  /** What the replica says, if it is fit: where that helps if it is so, and nothing is wrong if not. */
  async hint<T>(query: (from: Reader) => Promise<T>): Promise<T | undefined> {
    const replica = this.#replica;
    return replica?.isFit ? await query(replica).catch(() => undefined) : undefined;
  }

  /** Pages show markers: whoever has moved theirs sees that. */
  noteMark(userId: UserId, roomId: RoomId): void {
    this.#marks.note(markKey(userId, roomId), 1);
  }

  #holdsWhatWasSeen({ roomId, lastSeq, inboxSeq }: Found, userId: UserId): boolean {
    return lastSeq >= this.#hub.seenOf(roomTopic(roomId)) &&
      inboxSeq >= this.#hub.seenOf(inboxTopic(userId)) &&
      this.#marks.of(markKey(userId, roomId)) === 0;
  }
}

const markKey = (userId: UserId, roomId: RoomId): string => `${roomId} ${userId}`;
