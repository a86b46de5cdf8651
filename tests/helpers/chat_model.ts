/**
 * A client's state, built only from answers and pushes by the contract of protocol/events.ts: a push at or below
 * the position is dropped, one that begins beyond it shows a hole, any other is applied and moves the position;
 * catch-up is merged, or replaces what there was. What breaks the contract is noted in `faults`. ChatModel is the
 * state and its rules, ModelClient a device that keeps one.
 */
import { commands } from "../../src/protocol/commands.ts";
import { type EventName, events } from "../../src/protocol/events.ts";
import { SUBPROTOCOL, SUBPROTOCOL_BATCH, SUBPROTOCOL_BEARER } from "../../src/protocol/limits.ts";
import type { Member, Message, Position, Room } from "../../src/protocol/models.ts";
import type { TestApp, TestClaims } from "./test_app.ts";
import { Refused } from "./test_socket.ts";

// deno-lint-ignore no-explicit-any -- checked against the published schemas as it arrives
type Json = any;

export interface LoadedRoom extends Position {
  /** Messages from this seq on are all here. */
  from: number;
  room: Room;
  messages: Map<string, Message>;
  /** Undefined until they are listed: a reset brings none along. */
  members: Map<string, Member> | undefined;
}

export type Outcome = "applied" | "repeat" | "hole";

interface Listed {
  room: Room;
  member: Member;
  /** The seq of the room that this is not older than: inbox and room say the same in no order. */
  asOf: number;
}

interface State {
  epoch: string;
  inbox: number;
  /** The rooms that are the user's, told by the inbox and by sync. */
  list: Map<string, Listed>;
  rooms: Map<string, LoadedRoom>;
  /** Holes seen and not mended yet, by room, or "inbox": one who is cut off then has to ask again. */
  unsettled: Set<string>;
}

export class ChatModel {
  state: State = { epoch: "", inbox: 0, list: new Map(), rooms: new Map(), unsettled: new Set() };
  readonly faults: string[] = [];
  /** What was asked and what came, of each answer that said `reset`. */
  readonly resets: { roomId: string; asked: Position | undefined; position: Position }[] = [];

  constructor(readonly userId: string) {}

  positionOf(roomId: string): Position | undefined {
    const room = this.state.rooms.get(roomId);
    return room === undefined ? undefined : { epoch: room.epoch, seq: room.seq };
  }

  positions(): Record<string, Position> {
    return Object.fromEntries([...this.state.rooms].map(([id, { epoch, seq }]) => [id, { epoch, seq }]));
  }

  roomPush(event: string, data: Json): Outcome {
    const room = this.state.rooms.get(data.roomId);
    if (room === undefined || data.after > room.seq) return "hole";
    if (data.seq <= room.seq) return "repeat";
    const known = room.seq;
    room.seq = data.seq;
    if (data.message !== undefined) {
      this.#checkMessage(event, data, room, known);
      putMessage(room, data.message);
    }
    if (data.member !== undefined) putMember(room, data.member);
    if (data.member?.userId === this.userId) this.#putListed(data.roomId, room.room, data.member, data.seq);
    if (data.room !== undefined) setFields(room, data.room);
    return "applied";
  }

  #checkMessage(event: string, data: Json, room: LoadedRoom, known: number): void {
    const { message, after, seq } = data;
    const received = room.room.type === "DIRECT" ? "direct_message_received" : "message_received";
    if (message.changeSeq <= after || message.changeSeq > seq) {
      this.faults.push(`${event}: changeSeq ${message.changeSeq} outside of (${after}, ${seq}]`);
    }
    const unknown = message.seq > known || (message.seq >= room.from && !room.messages.has(message.id));
    if (unknown && event !== received) {
      this.faults.push(`${event} of message ${message.seq}, unknown at ${known}`);
    }
  }

  inboxPush(event: string, data: Json): Outcome {
    const { after, seq } = data.inbox;
    const { state } = this;
    if (after > state.inbox) return "hole";
    if (seq <= state.inbox) return "repeat";
    state.inbox = seq;
    if (event === "room_removed") {
      state.list.delete(data.roomId);
      state.rooms.delete(data.roomId);
    } else if (["room_created", "room_added", "membership_updated"].includes(event)) {
      this.#putListed(data.roomId, data.room, data.member, data.room.lastSeq);
    }
    return "applied";
  }

  caughtUp(answer: Json, asked: Position | undefined): void {
    const { roomId, room, member, position, reset, messages, oldestSeq } = answer;
    this.#putListed(roomId, room, member, position.seq);
    if (reset) {
      this.resets.push({ roomId, asked, position });
      const from = answer.hasMoreBefore ? messages[0]?.seq ?? position.seq + 1 : 0;
      const page = new Map<string, Message>(messages.map((message: Message) => [message.id, message]));
      this.state.rooms.set(roomId, { ...position, from, room, messages: page, members: undefined });
      return;
    }
    const loaded = this.state.rooms.get(roomId);
    const fits = answer.since === asked?.seq && position.epoch === asked?.epoch &&
      position.seq >= answer.since;
    if (loaded === undefined || !fits) {
      return void this.faults.push(`no reset for ${JSON.stringify(asked)}: ${JSON.stringify(position)}`);
    }
    for (const message of messages) {
      if (message.changeSeq <= answer.since || message.changeSeq > position.seq) {
        this.faults.push(`catch-up from ${answer.since}: change ${message.changeSeq}`);
      }
      putMessage(loaded, message);
    }
    for (const one of answer.members) putMember(loaded, one);
    Object.assign(loaded, position);
    setFields(loaded, { ...room, oldestSeq });
  }

  #putListed(roomId: string, room: Room, member: Member, asOf: number): void {
    if (asOf >= (this.state.list.get(roomId)?.asOf ?? 0)) this.state.list.set(roomId, { room, member, asOf });
  }

  /** One answer of a sync; true if another call is needed. `told` gathers the rooms that are still the user's. */
  synced(answer: Json, positions: Record<string, Position>, told: Set<string>): boolean {
    const { state } = this;
    Object.assign(state, { epoch: answer.epoch, inbox: answer.inbox.seq });
    for (const roomId of Object.keys(positions)) told.add(roomId);
    for (const found of answer.rooms) {
      this.caughtUp(found, positions[found.roomId]);
      told.add(found.roomId);
    }
    for (const roomId of answer.gone) {
      told.delete(roomId);
      state.rooms.delete(roomId);
    }
    if (answer.more) return true;
    for (const roomId of [...state.list.keys()]) if (!told.has(roomId)) state.list.delete(roomId);
    return false;
  }
}

function putMessage(room: LoadedRoom, message: Message): void {
  if (message.seq >= Math.max(room.from, room.room.oldestSeq)) room.messages.set(message.id, message);
}

function putMember(room: LoadedRoom, member: Member): void {
  if (member.leftReason === null) room.members?.set(member.userId, member);
  else room.members?.delete(member.userId);
}

/** What retention removed is told by `oldestSeq` alone. */
function setFields(loaded: LoadedRoom, room: Room): void {
  loaded.room = room;
  for (const [id, { seq }] of loaded.messages) if (seq < room.oldestSeq) loaded.messages.delete(id);
}

/** A push as it came; `seq` and `after` of its room. */
export interface Seen {
  roomId: string;
  event: string;
  after: number;
  seq: number;
  direct: boolean;
}

interface Push {
  event: string;
  data: Json;
}

interface DeviceOptions {
  /** False: hears no room, knows of rooms by the inbox alone. */
  hears?: boolean;
  /** How a hole is mended. */
  mends?: "join" | "sync";
  batch?: boolean;
  /** False: never lists members. */
  members?: boolean;
  claims?: TestClaims;
}

const ASK_MS = 10_000;

/** One device of a user: a socket at a time, and the state it keeps from one to the next. */
export class ModelClient {
  readonly model: ChatModel;
  readonly heard = new Set<string>();
  readonly seen: Seen[] = [];
  readonly holes: { roomId: string; position: number | undefined; after: number; seq: number }[] = [];
  /** Pushes at or below the position although nothing had been asked since the one before. */
  repeats = 0;
  /** Every frame and answer, cut short: for whoever has to find out why a run failed. */
  readonly trail: string[] = [];
  /** Inbox events as they came. */
  readonly inboxEvents: string[] = [];
  readonly #options: Required<DeviceOptions>;
  #socket: WebSocket | undefined;
  #closed: Promise<void> = Promise.resolve();
  #hello = Promise.withResolvers<Json>();
  #lastId = 0;
  /** Positions that came past the socket: what it brings up to there is no repeat of its own. */
  readonly #toldByRest = new Map<string, number>();
  /** Told as gone by a sync: what had been heard of them comes to its end by itself. */
  readonly #parting = new Set<string>();
  readonly #asked = new Map<number, { event: string; data: Json; settle: (envelope: Json) => void }>();
  #work: Promise<void> = Promise.resolve();
  #waiting: Push[] | undefined;

  constructor(readonly userId: string, options: DeviceOptions = {}) {
    this.model = new ChatModel(userId);
    this.#options = { hears: true, mends: "join", batch: false, members: true, claims: {}, ...options };
  }

  get faults(): string[] {
    return this.model.faults;
  }

  get connected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** By sync; by join_room of each room it keeps; or, if it hears none, as one that only wants the list. */
  connect(node: TestApp, how: "sync" | "join"): Promise<void> {
    const { model } = this;
    return this.do(async () => {
      const hello = await this.#open(node);
      const { epoch, inbox, unsettled } = model.state;
      if (how === "sync" && this.#options.hears) await this.#sync();
      else {
        if (this.#options.hears) {
          for (const roomId of [...model.state.rooms.keys()]) await this.#join(roomId);
        }
        if (epoch !== hello.epoch || inbox !== hello.inbox.seq || unsettled.size > 0) await this.#sync(node);
        for (const roomId of this.#options.hears ? model.state.list.keys() : []) {
          if (!this.heard.has(roomId)) await this.#join(roomId);
        }
      }
      unsettled.clear();
      for (const roomId of model.state.rooms.keys()) await this.#listMembers(roomId);
    });
  }

  async disconnect(): Promise<void> {
    this.#socket?.close();
    await this.#closed;
    await this.#work;
  }

  async hear(roomId: string): Promise<void> {
    if (this.#options.hears) await this.do(() => this.#join(roomId));
  }

  hush(roomId: string): Promise<void> {
    return this.do(() => this.ask("leave_room", { roomId }).catch(unlessRefused));
  }

  /** What asks for state happens one after the other; what is pushed meanwhile waits, and follows. */
  do(work: () => Promise<void>): Promise<void> {
    return this.#work = this.#work.then(async () => {
      this.#waiting = [];
      await work().catch((fault) => {
        if (!(fault instanceof Gone)) this.faults.push(String(fault));
      });
      const waited = this.#waiting;
      this.#waiting = undefined;
      for (const push of waited) this.#take(push, true);
    });
  }

  /** The data of the ack; rejects with Refused. */
  async ask(event: string, data: object): Promise<Json> {
    if (!this.connected) throw new Gone();
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Json>();
    this.#asked.set(id, { event, data, settle: resolve });
    const frame = JSON.stringify({ event, data, id });
    this.#note("asks", frame);
    this.#socket?.send(frame);
    const timer = setTimeout(() => resolve({ error: { code: "no_answer", message: event } }), ASK_MS);
    const envelope = await promise.finally(() => clearTimeout(timer));
    if (envelope === undefined) throw new Gone();
    if (envelope.error !== undefined) throw new Refused(envelope.error.code, envelope.error);
    return envelope.data;
  }

  async #open(node: TestApp): Promise<Json> {
    const protocol = this.#options.batch ? SUBPROTOCOL_BATCH : SUBPROTOCOL;
    const bearer = SUBPROTOCOL_BEARER + await node.tokenFor(this.userId, this.#options.claims);
    const socket = new WebSocket(`${node.url.replace("http", "ws")}/ws`, [protocol, bearer]);
    const closed = Promise.withResolvers<void>();
    this.#socket = socket;
    this.#closed = closed.promise;
    this.#hello = Promise.withResolvers();
    socket.onmessage = ({ data }) => {
      if (socket.readyState !== WebSocket.OPEN) return;
      const frame: Json = JSON.parse(data);
      for (const envelope of Array.isArray(frame) ? frame : [frame]) this.#receive(envelope);
    };
    socket.onerror = () => {};
    socket.onclose = () => {
      this.heard.clear();
      this.#parting.clear();
      for (const { settle } of this.#asked.values()) settle(undefined);
      this.#asked.clear();
      this.#hello.reject(new Gone());
      closed.resolve();
    };
    return await this.#hello.promise;
  }

  #receive(envelope: Json): void {
    this.#note("hears", JSON.stringify(envelope));
    const { ack, event, data } = envelope;
    if (ack !== undefined) {
      const asked = this.#asked.get(ack);
      this.#asked.delete(ack);
      if (asked !== undefined && envelope.error === undefined) {
        this.#check(asked.event, commands[asked.event as keyof typeof commands].output.safeParse(data));
        this.#noteHeard(asked.event, asked.data, data);
      }
      return asked?.settle(envelope);
    }
    this.#check(event, events[event as EventName].data.safeParse(data));
    if (event === "hello") return this.#hello.resolve(data);
    if (event === "room_left") return void this.heard.delete(data.roomId);
    if (event === "error") return void this.faults.push(JSON.stringify(data));
    if (data.seq !== undefined && !(event === "user_left" && data.userId === this.userId)) {
      const { roomId, after, seq } = data;
      this.seen.push({ roomId, event, after, seq, direct: data.inbox !== undefined });
    }
    this.#noteEnd(event, data);
    if (this.#waiting === undefined) this.#take(envelope, false);
    else this.#waiting.push(envelope);
  }

  /** Which rooms are heard follows the order of frames, also where what they say has to wait. */
  #noteHeard(event: string, asked: Json, answer: Json): void {
    if (event === "leave_room" && asked.membership !== true) this.heard.delete(asked.roomId);
    if (event === "join_room" && answer.room.type !== "DIRECT") this.heard.add(answer.roomId);
    if (event !== "sync") return;
    const named = answer.more
      ? []
      : Object.keys(asked.positions).map((id) => this.model.state.rooms.get(id)?.room);
    const rooms: Room[] = [...named, ...answer.rooms.map((found: { room: Room }) => found.room)];
    for (const room of rooms) if (room !== undefined && room.type !== "DIRECT") this.heard.add(room.id);
    for (const roomId of answer.unheard) this.heard.delete(roomId);
    for (const roomId of answer.gone) if (this.heard.delete(roomId)) this.#parting.add(roomId);
  }

  #noteEnd(event: string, { roomId, seq, inbox, userId }: Json): void {
    if (seq === undefined || inbox !== undefined) return;
    if (!this.heard.has(roomId) && !this.#parting.has(roomId)) {
      this.faults.push(`${event} ${seq} of a room not heard`);
    }
    if (event === "room_deleted" || (event === "user_left" && userId === this.userId)) {
      this.heard.delete(roomId);
    }
  }

  #note(what: string, text: string): void {
    this.trail.push(`${performance.now().toFixed(0)} ${what} ${text.slice(0, 400)}`);
  }

  #check(name: string, parsed: { success: boolean; error?: unknown }): void {
    if (!parsed.success) this.faults.push(`${name} is not as published: ${parsed.error}`);
  }

  #take({ event, data }: Push, waited: boolean): void {
    if (data.seq !== undefined) this.#takeOfRoom(event, data, waited);
    if (data.inbox === undefined) return;
    this.inboxEvents.push(event);
    const outcome = this.model.inboxPush(event, data);
    if (outcome === "hole") this.#mend("inbox", () => this.#sync());
    else if (outcome === "applied" && /^room_(added|created)$/.test(event)) {
      void this.hear(data.roomId);
    }
  }

  #takeOfRoom(event: string, data: Json, waited: boolean): void {
    const { roomId, seq } = data;
    const direct = data.inbox !== undefined;
    const position = this.model.positionOf(roomId)?.seq;
    if (event === "room_deleted" || (event === "user_left" && data.userId === this.userId)) {
      if (seq > (position ?? 0)) this.model.state.rooms.delete(roomId);
      else if (!this.heard.has(roomId)) void this.hear(roomId); // REST told of a new membership before the end of the old
      return;
    }
    if (!direct && !this.heard.has(roomId)) return; // of the past
    const outcome = this.model.roomPush(event, data);
    const isTold = direct || waited || seq <= (this.#toldByRest.get(roomId) ?? 0);
    if (outcome === "repeat" && !isTold) this.repeats++;
    if (outcome !== "hole") return;
    this.holes.push({ roomId, position, after: data.after, seq });
    this.#mend(roomId, () => this.#options.mends === "join" ? this.#join(roomId) : this.#sync());
  }

  #mend(what: string, work: () => Promise<void>): void {
    const { unsettled } = this.model.state;
    if (unsettled.has(what)) return;
    unsettled.add(what);
    void this.do(async () => {
      await work();
      this.model.state.unsettled.delete(what);
    });
  }

  async #join(roomId: string): Promise<void> {
    const since = this.model.positionOf(roomId);
    try {
      this.model.caughtUp(await this.ask("join_room", { roomId, ...(since && { since }) }), since);
    } catch (fault) {
      unlessRefused(fault);
      this.model.state.rooms.delete(roomId);
    }
    await this.#listMembers(roomId);
  }

  /** Over REST if a node is named: that tells, but makes nothing heard. */
  async #sync(node?: TestApp): Promise<void> {
    const told = new Set<string>();
    for (let more = true; more;) {
      const positions = this.model.positions();
      const answer = node === undefined
        ? await this.ask("sync", { positions })
        : (await (await node.rest(this.userId, this.#options.claims)).post("/sync", { positions })).body;
      if (node !== undefined) this.#note("reads", JSON.stringify(answer));
      more = this.model.synced(answer, positions, told);
      for (const { roomId, position } of node === undefined ? [] : answer.rooms) {
        this.#toldByRest.set(roomId, position.seq);
      }
    }
    for (const roomId of this.model.state.rooms.keys()) await this.#listMembers(roomId);
  }

  async #listMembers(roomId: string): Promise<void> {
    const loaded = this.model.state.rooms.get(roomId);
    if (loaded === undefined || loaded.members !== undefined || !this.#options.members) return;
    const members = new Map<string, Member>();
    let cursor: string | null | undefined;
    do {
      const ask = { roomId, limit: 100, ...(cursor && { cursor }) };
      const page = await this.ask("list_members", ask).catch(unlessRefused);
      if (page === undefined) return; // out again already: a push will say so
      for (const member of page.members) members.set(member.userId, member);
      cursor = page.nextCursor;
    } while (cursor !== null);
    loaded.members = members;
  }
}

class Gone extends Error {}

const MAY_REFUSE = ["not_found", "forbidden", "banned", "room_full"];

function unlessRefused(fault: unknown): undefined {
  if (!(fault instanceof Refused) || !MAY_REFUSE.includes(fault.code)) throw fault;
}
