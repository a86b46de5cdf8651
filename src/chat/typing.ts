/**
 * Typing: who types in which room, told to those who hear it, the typist's own devices apart. A node says for the devices
 * it holds, and every node shows a typist as long as some node says so. It ends when their message passes, and by each
 * node's own clock, so that it ends as well where the typist's node has died.
 */
import type { Connection } from "../delivery/connection.ts";
import { EphemeralPush } from "../delivery/ephemeral.ts";
import type { Hub } from "../delivery/hub.ts";
import type { Push } from "../delivery/push.ts";
import { inboxTopic, roomTopic, type Topic } from "../delivery/pushes.ts";
import type { CommandInput } from "../protocol/commands.ts";
import type { RoomId, UserId } from "../protocol/ids.ts";
import { type JsonText, toJson } from "../protocol/json_text.ts";
import type { UserProfile } from "../protocol/models.ts";
import { findTypist } from "../store/memberships.ts";
import type { Actor, Call } from "./actor.ts";
import { refusal } from "./refusals.ts";
import type { RoomRules } from "./room_rules.ts";

/** Whether one still may is asked again after this while. */
const ASK_AGAIN_MS = 5_000;
/** Rooms that one connection types in at a time. */
const ROOMS_MAX = 20;

interface Typed {
  topic: Topic;
  askedAt: number;
  /** Told to the other nodes. */
  toldAt: number;
  at: number;
}

interface Told {
  /** The node that says so. */
  by: string;
  roomId: RoomId;
  user: UserProfile;
  isTyping: boolean;
}

interface Shown {
  told: Told;
  /** Until when each node's word counts. */
  until: Map<string, number>;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Typing implements Disposable {
  readonly #rules: RoomRules;
  readonly #hub: Hub;
  readonly #timeoutMs: number;
  readonly #by = crypto.randomUUID();
  /** By the typist's own connection, on this node. */
  readonly #typed = new Map<Connection, Map<RoomId, Typed>>();
  /** What this node's listeners are shown. */
  readonly #shown = new Map<Topic, Map<string, Shown>>();
  #isEnded = false;

  constructor(uses: { rules: RoomRules; hub: Hub; timeoutMs: number }) {
    this.#rules = uses.rules;
    this.#hub = uses.hub;
    this.#timeoutMs = uses.timeoutMs;
    // a third longer than where the word came from: that node tells of the end, if it can
    const remoteMs = this.#timeoutMs * 4 / 3;
    this.#hub.onSignal("typing", (topic, payload) => this.#show(topic, JSON.parse(payload), remoteMs));
    this.#hub.onPush((topic, push) => this.#passed(topic, push));
  }

  async set(call: Call, ask: CommandInput<"typing">): Promise<JsonText> {
    const { actor, connection } = call;
    if (connection !== undefined && ask.isTyping) await this.#start(actor, connection, ask.roomId);
    else if (connection !== undefined) this.#stop(actor, connection, ask.roomId);
    return toJson({});
  }

  /** Whoever has sent has stopped typing, on whatever device. Other nodes see it by the message. */
  sent({ userId }: Actor, roomId: RoomId): void {
    for (const topic of this.#forget(userId, roomId)) this.#end(topic, roomId, userId);
  }

  ended(connection: Connection, actor: Actor): void {
    for (const roomId of [...this.#typed.get(connection)?.keys() ?? []]) {
      this.#stop(actor, connection, roomId);
    }
    this.#typed.delete(connection);
  }

  async #start(actor: Actor, connection: Connection, roomId: RoomId): Promise<void> {
    const now = performance.now();
    let typed = this.#typed.get(connection)?.get(roomId);
    if (typed === undefined || now - typed.askedAt > ASK_AGAIN_MS) {
      const topic = await this.#topicFor(actor, roomId);
      if (connection.closed !== undefined) return;
      typed = { topic, askedAt: now, toldAt: typed?.toldAt ?? -Infinity, at: typed?.at ?? -Infinity };
    }
    const goesOn = now - typed.at < this.#timeoutMs;
    typed.at = now;
    this.#remember(connection, roomId, typed);
    const isKnown = goesOn && now - typed.toldAt < this.#timeoutMs / 3;
    if (!isKnown) typed.toldAt = now;
    this.#tell(typed.topic, actor, roomId, true, !isKnown);
  }

  /** Throws a ChatError for whoever may not write there. */
  async #topicFor(actor: Actor, roomId: RoomId): Promise<Topic> {
    const typist = await findTypist(this.#rules.db, roomId, actor.userId);
    if (typist === undefined) throw await this.#rules.refuse(actor, "not_member", roomId);
    if (typist.isMuted) throw refusal("muted");
    if (typist.isStopped) throw refusal("blocked");
    return typist.other === null ? roomTopic(roomId) : inboxTopic(typist.other);
  }

  #remember(connection: Connection, roomId: RoomId, typed: Typed): void {
    const rooms = this.#typed.get(connection) ?? new Map<RoomId, Typed>();
    rooms.delete(roomId);
    this.#typed.set(connection, rooms.set(roomId, typed));
    for (const oldest of rooms.keys()) {
      if (rooms.size <= ROOMS_MAX) break;
      rooms.delete(oldest);
    }
  }

  #stop(actor: Actor, connection: Connection, roomId: RoomId): void {
    const typed = this.#typed.get(connection)?.get(roomId);
    this.#typed.get(connection)?.delete(roomId);
    if (typed !== undefined && !this.#typesHere(actor.userId, roomId)) {
      this.#tell(typed.topic, actor, roomId, false);
    }
  }

  #typesHere(userId: UserId, roomId: RoomId): boolean {
    const since = performance.now() - this.#timeoutMs;
    return this.#hub.connectionsOf(userId).some((device) =>
      (this.#typed.get(device)?.get(roomId)?.at ?? -Infinity) > since
    );
  }

  /** Where the user was typing on this node's devices. */
  #forget(userId: UserId, roomId: RoomId): Set<Topic> {
    const topics = new Set<Topic>();
    for (const device of this.#hub.connectionsOf(userId)) {
      const typed = this.#typed.get(device)?.get(roomId);
      if (typed === undefined) continue;
      this.#typed.get(device)?.delete(roomId);
      topics.add(typed.topic);
    }
    return topics;
  }

  #tell(topic: Topic, actor: Actor, roomId: RoomId, isTyping: boolean, toOtherNodes = true): void {
    const user = { id: actor.userId, name: actor.name, avatarUrl: actor.avatarUrl };
    const told: Told = { by: this.#by, roomId, user, isTyping };
    this.#show(topic, told, this.#timeoutMs);
    if (toOtherNodes) this.#hub.signal(topic, { kind: "typing", payload: toJson(told) });
  }

  #show(topic: Topic, told: Told, forMs: number): void {
    if (this.#isEnded) return;
    const key = keyOf(told.roomId, told.user.id);
    const known = this.#shown.get(topic)?.get(key);
    if (known === undefined && !told.isTyping) return;
    const shown = known ?? { told, until: new Map(), timer: undefined };
    if (told.isTyping) shown.until.set(told.by, performance.now() + forMs);
    else shown.until.delete(told.by);
    if (known === undefined) {
      const inTopic = this.#shown.get(topic) ?? new Map<string, Shown>();
      this.#shown.set(topic, inTopic.set(key, shown));
      this.#push(topic, told);
    }
    this.#watch(topic, shown);
  }

  #watch(topic: Topic, shown: Shown): void {
    clearTimeout(shown.timer);
    const leftMs = Math.max(...shown.until.values()) - performance.now();
    if (leftMs > 0) {
      shown.timer = setTimeout(() => this.#watch(topic, shown), leftMs);
      return;
    }
    const { roomId, user } = shown.told;
    this.#end(topic, roomId, user.id);
    if (this.#forget(user.id, roomId).size === 0) return;
    const told: Told = { by: this.#by, roomId, user, isTyping: false };
    this.#hub.signal(topic, { kind: "typing", payload: toJson(told) });
  }

  #end(topic: Topic, roomId: RoomId, userId: UserId): void {
    const inTopic = this.#shown.get(topic);
    const key = keyOf(roomId, userId);
    const shown = inTopic?.get(key);
    if (shown === undefined) return;
    clearTimeout(shown.timer);
    inTopic?.delete(key);
    if (inTopic?.size === 0) this.#shown.delete(topic);
    this.#push(topic, { ...shown.told, isTyping: false });
  }

  /** A message ends its sender's typing, and whoever leaves types no more. */
  #passed(topic: Topic, push: Push): void {
    if (!this.#shown.has(topic) || !ENDING.has(push.event)) return;
    const { roomId, userId, message }: { roomId: RoomId; userId?: UserId; message?: { senderId: UserId } } =
      JSON
        .parse(push.data);
    const typist = message?.senderId ?? userId;
    if (typist === undefined) return;
    this.#forget(typist, roomId);
    this.#end(topic, roomId, typist);
  }

  #push(topic: Topic, { roomId, user, isTyping }: Told): void {
    const push = new EphemeralPush("typing_indicator", toJson({ roomId, userId: user.id, user, isTyping }));
    for (const connection of this.#hub.listenersOf(topic)) {
      if (connection.userId !== user.id) connection.offerEphemeral(push);
    }
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    for (const inTopic of this.#shown.values()) {
      for (const { timer } of inTopic.values()) clearTimeout(timer);
    }
    this.#shown.clear();
  }
}

const ENDING: ReadonlySet<string> = new Set(["message_received", "direct_message_received", "user_left"]);
const keyOf = (roomId: RoomId, userId: UserId): string => `${roomId} ${userId}`;
