/**
 * A receiver: a client that keeps the published rules. It drops what is at or below its position, asks when `after` is
 * beyond it, comes back with its positions, and pages what a `reset` does not hold. Of all that it keeps a log.
 */
import { type Json, type Link, LinkLost, type OpenLink } from "./link.ts";
import { Refused } from "../helpers/test_socket.ts";

export interface Position {
  epoch: string;
  seq: number;
}

/** A message as it was shown, once, in this order. */
export interface Shown {
  id: string;
  seq: number;
  at: number;
}

/** A step of the position: what covered (after, seq]. */
export interface Step {
  by: "push" | "catch_up" | "reset";
  after: number;
  seq: number;
  event: string;
}

export class RoomLog {
  readonly roomId: string;
  position: Position | undefined;
  readonly steps: Step[] = [];
  readonly shown: Shown[] = [];
  /** The final state: content by id. */
  readonly state = new Map<string, string>();
  readonly seen = new Set<string>();
  /** Came again, and were dropped by the position. */
  rawRepeats = 0;
  /** Were shown again although the position let them through. */
  repeats = 0;
  /** When the client knew that it is no member any more. */
  goneAt: number | undefined;
  isAsking = false;
  /** Live pushes wait while a reset is being paged. */
  waiting: { event: string; data: Json }[] | undefined;

  constructor(roomId: string) {
    this.roomId = roomId;
  }
}

export interface ReceiverInit {
  userId: string;
  token: string;
  urls: readonly string[];
  rooms: readonly string[];
  random: () => number;
  openLink: OpenLink;
  /** How it comes back: a room at a time, or all in one. */
  comesBackBy: "join_room" | "sync";
  /** False: a client that never asks for what it missed. */
  catchesUp: boolean;
}

const RETRY_MS = 250;

export class Receiver implements AsyncDisposable {
  readonly userId: string;
  readonly logs: ReadonlyMap<string, RoomLog>;
  /** Rooms that somebody told of to whom they were never promised. */
  readonly strangeRooms = new Set<string>();
  readonly refusals: string[] = [];
  readonly link: Link;
  readonly #init: ReceiverInit;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  resets = 0;
  asks = 0;

  constructor(init: ReceiverInit) {
    this.#init = init;
    this.userId = init.userId;
    this.logs = new Map(init.rooms.map((roomId) => [roomId, new RoomLog(roomId)]));
    this.link = init.openLink({
      ...init,
      onOpen: (recovered) => this.#opened(recovered),
      onPush: (event, data) => this.#push(event, data),
    });
  }

  get hearsAll(): boolean {
    return [...this.logs.values()].every((log) => log.position !== undefined || log.goneAt !== undefined);
  }

  /** What was asked before is not answered any more. */
  #opened(recovered: boolean): void {
    const inDoubt = [...this.logs.values()].filter((log) =>
      !recovered || log.position === undefined || log.isAsking || log.waiting !== undefined
    );
    for (const log of this.logs.values()) {
      log.isAsking = false;
      log.waiting = undefined;
    }
    const isBack = [...this.logs.values()].some((log) => log.position !== undefined);
    if (inDoubt.length === 0) return;
    if (isBack && this.#init.comesBackBy === "sync" && this.#init.catchesUp) void this.#sync();
    else for (const log of inDoubt) void this.#join(log);
  }

  async #join(log: RoomLog): Promise<void> {
    if (log.isAsking || log.goneAt !== undefined) return;
    log.isAsking = true;
    this.asks++;
    const since = this.#init.catchesUp ? log.position : undefined;
    await this.#ask(async () => {
      const answer = await this.link.call("join_room", { roomId: log.roomId, ...since && { since } });
      log.isAsking = false;
      await this.#caughtUp(log, answer);
    }, log);
  }

  async #sync(): Promise<void> {
    const logs = [...this.logs.values()].filter((log) => log.goneAt === undefined);
    for (const log of logs) log.isAsking = true;
    const positions = Object.fromEntries(
      logs.flatMap(({ roomId, position }) => position === undefined ? [] : [[roomId, position]]),
    );
    await this.#ask(async () => {
      const answer = await this.link.call("sync", { positions });
      for (const log of logs) log.isAsking = false;
      for (const roomId of answer.gone) this.#gone(roomId);
      const work = answer.rooms.map((room: Json) => {
        const log = this.logs.get(room.roomId);
        if (log === undefined) this.strangeRooms.add(room.roomId);
        return log && this.#caughtUp(log, room);
      });
      await Promise.all(work);
      if (answer.more) await this.#sync();
    }, ...logs);
  }

  /** What may work later is tried again, as long as the link lives; a new life of it begins anew. */
  async #ask(work: () => Promise<void>, ...logs: RoomLog[]): Promise<void> {
    try {
      await work();
    } catch (fault) {
      if (fault instanceof LinkLost) return;
      if (!(fault instanceof Refused)) throw fault;
      const life = this.link.lives;
      if (!fault.body.retryable) {
        this.refusals.push(fault.message);
        for (const { roomId } of logs) this.#gone(roomId);
        return;
      }
      this.#later(() => {
        if (life !== this.link.lives || !this.link.isOpen) return;
        for (const log of logs) {
          log.isAsking = false;
          log.waiting = undefined;
          void this.#join(log);
        }
      });
    }
  }

  #later(work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, RETRY_MS);
    this.#timers.add(timer);
  }

  #gone(roomId: string): void {
    const log = this.logs.get(roomId);
    if (log !== undefined) log.goneAt ??= performance.now();
  }

  /** In the turn of the answer, up to a reset that has to be paged. */
  async #caughtUp(log: RoomLog, answer: Json): Promise<void> {
    const { position, messages } = answer;
    const known = log.position;
    if (known !== undefined && answer.reset && this.#init.catchesUp) {
      await this.#reload(log, answer);
      return;
    }
    const isStart = known === undefined || !this.#init.catchesUp;
    if (!isStart && answer.since !== known.seq) throw new Error(`since ${answer.since}, not ${known.seq}`);
    log.position = position;
    // the history from before our time is not what is counted
    if (isStart) log.steps.push({ by: "reset", after: -1, seq: position.seq, event: "start" });
    else {
      log.steps.push({ by: "catch_up", after: known.seq, seq: position.seq, event: "catch_up" });
      for (const message of messages) this.#show(log, message, message.seq > known.seq);
    }
  }

  async #reload(log: RoomLog, answer: Json): Promise<void> {
    const known = log.position?.seq ?? 0;
    this.resets++;
    const life = this.link.lives;
    log.waiting = [];
    let messages: Json[] = answer.messages;
    for (let more = answer.hasMoreBefore; more && messages[0].seq > known;) {
      const page = await this.link.call("list_messages", {
        roomId: log.roomId,
        before: messages[0].seq,
        limit: 100,
      });
      messages = [...page.messages, ...messages];
      more = page.hasMoreBefore;
    }
    if (life !== this.link.lives) return;
    log.position = answer.position;
    log.steps.push({ by: "reset", after: -1, seq: answer.position.seq, event: "reset" });
    for (const message of messages) {
      if (message.seq > known) this.#show(log, message, true);
      else log.state.set(message.id, message.content);
    }
    const waiting = log.waiting;
    log.waiting = undefined;
    for (const { event, data } of waiting) this.#take(log, event, data);
  }

  #push(event: string, data: Json): void {
    if (event === "room_removed") return this.#gone(data.roomId);
    if (typeof data.seq !== "number" || event.startsWith("direct_")) return;
    const log = this.logs.get(data.roomId);
    if (log === undefined) return void this.strangeRooms.add(data.roomId);
    if (log.waiting !== undefined) log.waiting.push({ event, data });
    else this.#take(log, event, data);
  }

  #take(log: RoomLog, event: string, data: Json): void {
    const { after, seq } = data;
    if (log.position === undefined) return; // its answer is on the way, and holds it
    if (seq <= log.position.seq) return void log.rawRepeats++;
    if (after > log.position.seq) {
      if (this.#init.catchesUp) return void this.#join(log);
    }
    log.steps.push({ by: "push", after, seq, event });
    log.position = { ...log.position, seq };
    if (event === "message_received") this.#show(log, data.message, true);
    else if (data.message !== undefined) log.state.set(data.message.id, data.message.content);
    if (event === "user_left" && data.userId === this.userId) this.#gone(log.roomId);
  }

  #show(log: RoomLog, { id, seq, content }: Json, isNew: boolean): void {
    log.state.set(id, content);
    if (!isNew) return;
    if (log.seen.has(id)) return void log.repeats++;
    log.seen.add(id);
    log.shown.push({ id, seq, at: performance.now() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await this.link[Symbol.asyncDispose]();
  }
}
