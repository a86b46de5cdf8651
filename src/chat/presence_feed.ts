/**
 * The presence feed: one change of one user on its way to every node, and there to whoever may hear it: those who hear
 * a small room with the user, and those who asked to watch them; and the user's own devices. Each connection once.
 */
import type { Bus } from "../bus/bus.ts";
import type { Connection } from "../delivery/connection.ts";
import { decodeSignal, encodeSignal, EphemeralPush } from "../delivery/ephemeral.ts";
import type { Hub } from "../delivery/hub.ts";
import { inboxTopic, roomTopic } from "../delivery/pushes.ts";
import type { NodeId, RoomId, UserId } from "../protocol/ids.ts";
import { toJson } from "../protocol/json_text.ts";
import type { UserStatus } from "../protocol/models.ts";

const TOPIC = "presence";

/** Several nodes may tell the same of a user at once: within this while it counts as told. */
const SAME_NEWS_MS = 2_000;

export interface PresenceNews {
  userId: UserId;
  /** As others see the user, if it concerns them. */
  others?: UserStatus;
  /** As the user is shown to themselves. */
  own?: UserStatus;
  rooms: readonly RoomId[];
  hiddenFrom: readonly UserId[];
  /** For this user alone. */
  only?: UserId;
}

export class PresenceFeed implements Disposable {
  readonly #nodeId: NodeId;
  readonly #bus: Bus;
  readonly #hub: Hub;
  readonly #watchers = new Map<UserId, Set<Connection>>();
  readonly #watched = new Map<Connection, ReadonlySet<UserId>>();
  /** What has been told a moment ago, oldest first. */
  readonly #told = new Map<string, { text: string; at: number }>();

  constructor(uses: { nodeId: NodeId; bus: Bus; hub: Hub }) {
    this.#nodeId = uses.nodeId;
    this.#bus = uses.bus;
    this.#hub = uses.hub;
    void this.#bus.subscribe(TOPIC, (text) => {
      const signal = decodeSignal(this.#nodeId, text);
      if (signal !== undefined) this.#deliver(JSON.parse(signal.payload));
    });
  }

  publish(news: PresenceNews): void {
    this.#deliver(news);
    const signal = encodeSignal(this.#nodeId, { kind: TOPIC, payload: toJson(news) });
    this.#bus.publish(TOPIC, signal, { fleeting: true });
  }

  /** In place of what the connection watched before. */
  watch(connection: Connection, userIds: readonly UserId[]): void {
    this.unwatch(connection);
    const watched = new Set(userIds);
    if (watched.size === 0 || connection.closed !== undefined) return;
    this.#watched.set(connection, watched);
    for (const userId of watched) {
      const watchers = this.#watchers.get(userId) ?? new Set<Connection>();
      this.#watchers.set(userId, watchers.add(connection));
    }
  }

  unwatch(connection: Connection): void {
    for (const userId of this.#watched.get(connection) ?? []) {
      const watchers = this.#watchers.get(userId);
      watchers?.delete(connection);
      if (watchers?.size === 0) this.#watchers.delete(userId);
    }
    this.#watched.delete(connection);
  }

  #deliver({ userId, own, others, rooms, hiddenFrom, only }: PresenceNews): void {
    if (own !== undefined && this.#isNew(`own ${userId}`, toJson(own))) {
      this.#hub.pushEphemeral(inboxTopic(userId), new EphemeralPush("status_updated", toJson(own)));
    }
    if (others === undefined) return;
    const text = toJson(others);
    if (only === undefined && !this.#isNew(userId, text + hiddenFrom)) return;
    const hearers = new Set(this.#watchers.get(userId));
    for (const roomId of rooms) {
      for (const connection of this.#hub.listenersOf(roomTopic(roomId))) hearers.add(connection);
    }
    const hidden = new Set(hiddenFrom);
    const push = new EphemeralPush("status_updated", text);
    for (const connection of hearers) {
      const mayHear = only === undefined ? !hidden.has(connection.userId) : connection.userId === only;
      if (mayHear && connection.userId !== userId) connection.offerEphemeral(push);
    }
  }

  #isNew(key: string, text: string): boolean {
    const now = performance.now();
    const known = this.#told.get(key);
    for (const [oldest, { at }] of this.#told) {
      if (now - at < SAME_NEWS_MS) break;
      this.#told.delete(oldest);
    }
    if (known?.text === text && now - known.at < SAME_NEWS_MS) return false;
    this.#told.delete(key);
    this.#told.set(key, { text, at: now });
    return true;
  }

  [Symbol.dispose](): void {
    this.#bus.unsubscribe(TOPIC);
  }
}
