/**
 * The appender: the only way a message reaches Postgres. Sends are grouped into one call of
 * append_messages_v1 by lane (a hash of the room), each lane on its own connection.
 *
 * Invariants: a room's messages are in one flush at a time, so what one connection sent in order is stored
 * in order, even when a flush has to be tried again; other rooms of the lane do not wait for it. A lone
 * message waits for nobody. A bad item never fails its neighbours. Trying again after an unknown outcome is
 * safe: the message id and the clientMessageId were there before.
 */
import { ChatError } from "../protocol/errors.ts";
import type { MessageId, RoomId, UserId } from "../protocol/ids.ts";
import { describeFault, type Log } from "../log.ts";
import type { DirectPlaces } from "./changes.ts";
import { type Database, isRetryable, isUnreachable, pause, type Sql } from "./database.ts";

/** Two users' direct room, named before it exists; see store/rooms.ts. */
export interface DirectPair {
  key: string;
  low: UserId;
  high: UserId;
  newRoomId: RoomId;
}

export interface Draft {
  id: MessageId;
  target: { is: "room"; roomId: RoomId } | { is: "direct"; pair: DirectPair };
  senderId: UserId;
  clientMessageId: string;
  content: string;
  type: string;
  attachments: readonly unknown[];
  replyToId: MessageId | undefined;
}

export type Appended =
  | { code: string; message?: undefined }
  | {
    code: null;
    isRepeat: boolean;
    roomId: RoomId;
    seq: number;
    /** The wire's Message or DirectMessage, as JSON. */
    message: string;
    direct: DirectPlaces | undefined;
  };

interface Item {
  draft: Draft;
  json: string;
  abandoned: boolean;
  settle: (outcome: Appended) => void;
  fail: (fault: unknown) => void;
}

interface Lane {
  sql: Sql;
  /** Waiting items by room (or direct key), in order of arrival. */
  waiting: Map<string, Item[]>;
  /** Rooms that wait and are in no flush. */
  ready: Set<string>;
  inFlight: number;
  scheduled: boolean;
}

const ROWS_MAX = 500;
const BYTES_MAX = 1024 * 1024;
const FLUSHES_MAX = 4;
const QUEUE_BYTES_MAX = 32 * 1024 * 1024;

export class Appender {
  readonly #db: Database;
  readonly #log: Log;
  readonly #lanes: Lane[];
  #queuedBytes = 0;
  #calls = 0;

  constructor(db: Database, log: Log) {
    this.#db = db;
    this.#log = log;
    this.#lanes = db.lanes.map((sql) => ({
      sql,
      waiting: new Map(),
      ready: new Set(),
      inFlight: 0,
      scheduled: false,
    }));
  }

  /** How often append_messages_v1 has been called. */
  get calls(): number {
    return this.#calls;
  }

  /** A statement's first use on a connection costs two round trips: take them before the first message does. */
  async warm(): Promise<void> {
    await this.#db.deadline(
      Promise.all(this.#lanes.map((lane) => this.#call(lane.sql, []))),
      this.#db.timeoutMs,
    );
  }

  /**
   * Stores one message once. `sent` settles with the outcome whenever Postgres tells it, which may be after
   * the deadline; `abandon` takes back an item that has not left yet. Throws `busy` when the queue is full.
   */
  append(draft: Draft): { sent: Promise<Appended>; abandon: () => void } {
    if (this.#queuedBytes > QUEUE_BYTES_MAX) {
      throw new ChatError("busy", "Too many messages wait to be stored");
    }
    const key = draft.target.is === "room" ? draft.target.roomId : draft.target.pair.key;
    const lane = this.#lanes[laneOf(key, this.#lanes.length)] as Lane;
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    const item: Item = { draft, json: encode(draft), abandoned: false, settle: resolve, fail: reject };
    this.#queuedBytes += item.json.length;
    const queue = lane.waiting.get(key);
    if (queue === undefined) {
      lane.waiting.set(key, [item]);
      lane.ready.add(key);
    } else {
      queue.push(item);
    }
    this.#schedule(lane);
    return { sent: promise, abandon: () => void (item.abandoned = true) };
  }

  /** After the present turn of the event loop, so that what arrived together leaves together. */
  #schedule(lane: Lane): void {
    if (lane.scheduled) return;
    lane.scheduled = true;
    queueMicrotask(() => {
      lane.scheduled = false;
      while (lane.inFlight < FLUSHES_MAX && lane.ready.size > 0) this.#flush(lane);
    });
  }

  #flush(lane: Lane): void {
    const taken = new Map<string, Item[]>();
    let rows = 0;
    let bytes = 0;
    for (const key of lane.ready) {
      const queue = lane.waiting.get(key) ?? [];
      let count = 0;
      for (const item of queue) {
        if (rows > 0 && (rows === ROWS_MAX || bytes + item.json.length > BYTES_MAX)) break;
        count++;
        rows++;
        bytes += item.json.length;
      }
      if (count === 0) break;
      lane.ready.delete(key);
      taken.set(key, queue.splice(0, count));
    }
    lane.inFlight++;
    void this.#store(lane, [...taken.values()]).finally(() => {
      lane.inFlight--;
      this.#queuedBytes -= bytes;
      for (const key of taken.keys()) {
        if ((lane.waiting.get(key)?.length ?? 0) > 0) lane.ready.add(key);
        else lane.waiting.delete(key);
      }
      this.#schedule(lane);
    });
  }

  /** Settles every item; never throws. `rooms` holds each room's items in order. */
  async #store(lane: Lane, rooms: Item[][]): Promise<void> {
    const groups = rooms.map((items) => items.filter((item) => !item.abandoned));
    for (const item of rooms.flat()) {
      if (item.abandoned) item.fail(new ChatError("unavailable", "The message was not sent in time"));
    }
    const items = groups.flat();
    if (items.length === 0) return;
    try {
      this.#settle(items, await this.#persist(lane.sql, items, groups.length === 1));
    } catch (fault) {
      if (groups.length > 1) {
        // one locked or faulty room must not hold up the others: each goes its own way, over the pool
        await Promise.all(groups.map((group) => this.#store({ ...lane, sql: this.#db.sql }, [group])));
      } else if (items.length > 1 && !isRetryable(fault) && !isUnreachable(fault)) {
        for (const item of items) await this.#store({ ...lane, sql: this.#db.sql }, [[item]]);
      } else {
        this.#log.error("append.failed", { ...describeFault(fault), items: items.length });
        for (const item of items) item.fail(fault);
      }
    }
  }

  /** Tries again what can succeed: lost races, and unknown outcomes while the deadline allows. */
  async #persist(sql: Sql, items: Item[], alone: boolean): Promise<AppendRow[]> {
    const until = performance.now() + this.#db.timeoutMs;
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#call(sql, items);
      } catch (fault) {
        const lockWait = isRetryable(fault) && (alone || !isLockTimeout(fault));
        const again = (lockWait || isUnreachable(fault)) && performance.now() < until && attempt < 10;
        if (!again) throw fault;
        await pause(Math.min(20 * 2 ** attempt, 500) * (0.5 + Math.random()));
      }
    }
  }

  async #call(sql: Sql, items: Item[]): Promise<AppendRow[]> {
    this.#calls++;
    const batch = `[${items.map((item) => item.json).join(",")}]`;
    return await sql<AppendRow[]>`
      select ord, code, is_repeat, room_id, seq, message, low, high, inbox_low, inbox_high
      from append_messages_v1(${batch}::text::jsonb)`;
  }

  #settle(items: Item[], rows: AppendRow[]): void {
    for (const row of rows) {
      const item = items[row.ord - 1];
      if (item === undefined) continue;
      item.settle(
        row.code !== null ? { code: row.code } : {
          code: null,
          isRepeat: row.is_repeat,
          roomId: row.room_id,
          seq: row.seq,
          message: row.message,
          direct: row.low === null
            ? undefined
            : { low: row.low, high: row.high, inboxLow: row.inbox_low, inboxHigh: row.inbox_high },
        },
      );
    }
    for (const item of items) item.fail(new Error("append_messages_v1 gave no answer for an item")); // no effect once settled
  }
}

interface AppendRow {
  ord: number;
  code: string | null;
  is_repeat: boolean;
  room_id: RoomId;
  seq: number;
  message: string;
  low: UserId;
  high: UserId;
  inbox_low: number;
  inbox_high: number;
}

const isLockTimeout = (fault: unknown): boolean => (fault as { code?: unknown }).code === "55P03";

function encode(draft: Draft): string {
  const { target, ...rest } = draft;
  if (target.is === "room") return JSON.stringify({ ...rest, roomId: target.roomId });
  const { key, low, high, newRoomId } = target.pair;
  return JSON.stringify({ ...rest, directKey: key, directLow: low, directHigh: high, newRoomId });
}

/** FNV-1a: spreads rooms over lanes. */
export function laneOf(key: string, lanes: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % lanes;
}
