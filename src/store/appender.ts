/**
 * The appender: the only way a message reaches Postgres. Sends are grouped into one call of
 * append_messages by lane (a hash of the room), each lane on its own connection.
 *
 * Invariants: a room's messages are in one call at a time, so what one connection sent in order is stored in
 * order, even when a call has to be tried again. A room that is locked, or holds what no call can store, goes on
 * apart, over connections of its own: the others of its lane lose one lock timeout by it and no more. A lone message waits for
 * nobody. A bad item never fails its neighbours. Trying again after an unknown outcome is safe: the message id
 * and the clientMessageId were there before.
 */
import { ChatError } from "../protocol/errors.ts";
import type { AttachmentId, MessageId, RoomId, UserId } from "../protocol/ids.ts";
import { describeFault, type Log } from "../log.ts";
import type { DirectPlaces } from "./changes.ts";
import { type Database, faultCode, isRetryable, isUnreachable, pause } from "./database.ts";
import type { Link } from "./link.ts";

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
  /** Uploads of the sender to the same room. */
  attachmentIds: readonly AttachmentId[] | undefined;
  replyToId: MessageId | undefined;
  /** Beside those whose @name stands in the text. */
  mentions: readonly UserId[] | undefined;
}

export type Appended =
  | { code: string; message?: undefined }
  | {
    code: null;
    isRepeat: boolean;
    roomId: RoomId;
    seq: number;
    /** The wire's Message or DirectMessage without its sender, as JSON. */
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
  link: Link;
  /** Waiting items by room (or direct key), in order of arrival; there is a queue as long as a call is under way. */
  waiting: Map<string, Item[]>;
  /** Rooms that wait and are in no call. */
  ready: Set<string>;
  inFlight: number;
  scheduled: boolean;
}

const ROWS_MAX = 500;
const BYTES_MAX = 1024 * 1024;
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
    this.#lanes = db.lanes.map((link) => ({
      link,
      waiting: new Map(),
      ready: new Set(),
      inFlight: 0,
      scheduled: false,
    }));
  }

  /** How often Postgres has been called. */
  get calls(): number {
    return this.#calls;
  }

  /** A statement's first use on a connection costs two round trips: take them before the first message does. */
  async warm(): Promise<void> {
    const calls = this.#lanes.flatMap(({ link }) => VERSIONS.map((name) => this.#call(link, [], name)));
    await this.#db.deadline(Promise.all(calls), this.#db.timeoutMs);
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
      while (lane.inFlight < this.#db.callsALane && lane.ready.size > 0) this.#flush(lane);
    });
  }

  #flush(lane: Lane): void {
    const taken = new Map<string, Item[]>();
    let [rows, bytes] = [ROWS_MAX, BYTES_MAX];
    for (const key of lane.ready) {
      const items = take(lane, key, rows, bytes, taken.size === 0);
      if (items.length === 0) break;
      lane.ready.delete(key);
      taken.set(key, items);
      rows -= items.length;
      bytes -= bytesOf(items);
    }
    lane.inFlight++;
    void this.#storeTogether(lane, taken).finally(() => {
      lane.inFlight--;
      this.#schedule(lane);
    });
  }

  /** Never throws. Whoever did not cause a failure must not wait for who did: from then on each room is alone. */
  async #storeTogether(lane: Lane, rooms: Map<string, Item[]>): Promise<void> {
    const items = [...rooms.values()].flat();
    try {
      await this.#persist(lane.link, items);
    } catch (fault) {
      if (!isUnreachable(fault)) {
        for (const [key, own] of rooms) void this.#storeApart(lane, key, own);
        return;
      }
      this.#fail(items, fault);
    }
    for (const [key, own] of rooms) {
      this.#queuedBytes -= bytesOf(own);
      if (hasWaiting(lane, key)) lane.ready.add(key);
      else lane.waiting.delete(key);
    }
  }

  /** Until nothing of the room waits; then it may come back to its lane. Never throws. */
  async #storeApart(lane: Lane, key: string, first: Item[]): Promise<void> {
    for (let items = first; items.length > 0; items = take(lane, key, ROWS_MAX, BYTES_MAX, true)) {
      try {
        await this.#persist(this.#db.apart, items, { waitsForLocks: true });
      } catch (fault) {
        if (items.length === 1 || isRetryable(fault) || isUnreachable(fault)) this.#fail(items, fault);
        else await this.#storeSingly(items);
      }
      this.#queuedBytes -= bytesOf(items);
    }
    lane.waiting.delete(key);
  }

  async #storeSingly(items: Item[]): Promise<void> {
    for (const item of items) {
      await this.#persist(this.#db.apart, [item], { waitsForLocks: true })
        .catch((fault) => this.#fail([item], fault));
    }
  }

  #fail(items: Item[], fault: unknown): void {
    this.#log.error("append.failed", { ...describeFault(fault), items: items.length });
    for (const item of items) item.fail(fault);
  }

  /** Tries again what can succeed, for as long as somebody waits: lost races, and unknown outcomes. */
  async #persist(link: Link, items: Item[], { waitsForLocks = false } = {}): Promise<void> {
    const until = performance.now() + this.#db.timeoutMs;
    for (let attempt = 1;; attempt++) {
      for (const item of items) {
        if (item.abandoned) item.fail(new ChatError("unavailable", "The message was not sent in time"));
      }
      const wanted = items.filter((item) => !item.abandoned);
      if (wanted.length === 0) return;
      try {
        return settle(wanted, await this.#call(link, wanted));
      } catch (fault) {
        const canSucceed = hasWaitedTooLong(fault)
          ? waitsForLocks
          : isRetryable(fault) || isUnreachable(fault);
        if (!canSucceed || performance.now() >= until || this.#db.isClosed) throw fault;
        await pause(Math.min(20 * 2 ** attempt, 500) * (0.5 + Math.random()));
      }
    }
  }

  async #call(link: Link, items: Item[], name = versionFor(items)): Promise<AppendRow[]> {
    this.#calls++;
    const batch = `[${items.map(({ json }) => json).join(",")}]`;
    return await link.call((sql) =>
      sql<AppendRow[]>`
        select ord, code, is_repeat, room_id, seq, message, low, high, inbox_low, inbox_high
        from ${sql(name)}(${batch}::text::jsonb)`
    );
  }
}

/** Without files the first version does the same in half the steps. */
const VERSIONS = ["append_messages_v1", "append_messages_v2"] as const;
const versionFor = (items: readonly Item[]): string =>
  VERSIONS[items.some(({ draft }) => draft.attachmentIds !== undefined) ? 1 : 0];

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

/** Behind a lock, most likely: by the timeout of locks, or by that of statements where there is one. */
const hasWaitedTooLong = (fault: unknown): boolean => ["55P03", "57014"].includes(faultCode(fault));

const hasWaiting = (lane: Lane, key: string): boolean => (lane.waiting.get(key)?.length ?? 0) > 0;

const bytesOf = (items: Item[]): number => items.reduce((sum, { json }) => sum + json.length, 0);

/** The front of a room's queue, as far as it fits; one item at least if `atLeastOne`. */
function take(lane: Lane, key: string, rows: number, bytes: number, atLeastOne: boolean): Item[] {
  const queue = lane.waiting.get(key) ?? [];
  let count = 0;
  for (let left = bytes; count < Math.min(rows, queue.length); count++) {
    left -= queue[count]?.json.length ?? 0;
    if (left < 0 && !(atLeastOne && count === 0)) break;
  }
  return queue.splice(0, count);
}

function settle(items: Item[], rows: AppendRow[]): void {
  for (const row of rows) {
    items[row.ord - 1]?.settle(
      row.code !== null ? { code: row.code } : {
        code: null,
        isRepeat: row.is_repeat,
        roomId: row.room_id,
        seq: row.seq,
        message: row.message,
        direct: row.inbox_low === null
          ? undefined
          : { low: row.low, high: row.high, inboxLow: row.inbox_low, inboxHigh: row.inbox_high },
      },
    );
  }
  if (rows.length < items.length) throw new Error("append_messages gave no answer for an item");
}

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
