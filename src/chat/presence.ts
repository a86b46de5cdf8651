/**
 * Presence: who is there. A node knows the devices it holds and says of each user what they come to, by a lease; what
 * all nodes say together is the user's presence. A change of that is told by the node whose word made it, as the user is
 * by then. A user whose last device went is offline after a short grace: a reconnect is no news.
 */
import { type LeaseState, type PresenceLeases, type Shift } from "../bus/presence_leases.ts";
import type { Connection } from "../delivery/connection.ts";
import type { Hub } from "../delivery/hub.ts";
import { inboxTopic } from "../delivery/pushes.ts";
import { describeFault, type Log } from "../log.ts";
import type { CommandInput } from "../protocol/commands.ts";
import { ChatError } from "../protocol/errors.ts";
import type { UserId } from "../protocol/ids.ts";
import { jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import type { UserStatus } from "../protocol/models.ts";
import type { WriteAnswer } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { type ChosenStatus, presenceAudience, readStatuses, type StatusRow } from "../store/presence.ts";
import type { Actor, Call } from "./actor.ts";
import { IdleWatch } from "./idle_watch.ts";
import type { PresenceFeed } from "./presence_feed.ts";
import type { RoomRules } from "./room_rules.ts";
import { hidden, isSeen, lineOf, shownToOthers, shownToSelf, stateNow, stateOf } from "./statuses.ts";

const TIMER_MAX_MS = 2 ** 31 - 1;

/** A user with devices here, or who had some a moment ago. */
interface Local {
  devices: Set<Connection>;
  chosen: ChosenStatus;
  /** What this node last said of the user. */
  said: LeaseState | undefined;
  leaving: ReturnType<typeof setTimeout> | undefined;
  lineEnds: ReturnType<typeof setTimeout> | undefined;
}

export interface PresenceUses {
  rules: RoomRules;
  hub: Hub;
  leases: PresenceLeases;
  feed: PresenceFeed;
  log: Log;
  idleMs: number;
  graceMs: number;
}

export class Presence implements AsyncDisposable {
  readonly #uses: PresenceUses;
  readonly #db: Database;
  readonly #idle: IdleWatch;
  readonly #locals = new Map<UserId, Local>();
  /** What is being told, of each user in order. */
  readonly #telling = new Map<UserId, Promise<unknown>>();
  #isEnded = false;

  constructor(uses: PresenceUses) {
    this.#uses = uses;
    this.#db = uses.rules.db;
    this.#idle = new IdleWatch({ idleMs: uses.idleMs, onIdle: ({ userId }) => this.#say(userId) });
    uses.hub.onSignal("status", (_, payload) => {
      const { userId, chosen }: { userId: UserId; chosen: ChosenStatus } = JSON.parse(payload);
      this.#choose(userId, chosen);
    });
    uses.leases.onReaped((shifts) => {
      for (const { userId, ...shift } of shifts) this.#tell(userId, shift, false);
    });
  }

  connected(connection: Connection, chosen: ChosenStatus): void {
    if (this.#isEnded) return;
    const { userId } = connection;
    const local: Local = this.#locals.get(userId) ??
      { devices: new Set(), chosen, said: undefined, leaving: undefined, lineEnds: undefined };
    this.#locals.set(userId, local);
    clearTimeout(local.leaving);
    local.leaving = undefined;
    local.devices.add(connection);
    this.#idle.asked(connection);
    this.#choose(userId, chosen);
  }

  ended(connection: Connection): void {
    this.#idle.forget(connection);
    this.#uses.feed.unwatch(connection);
    const local = this.#locals.get(connection.userId);
    if (!local?.devices.delete(connection) || this.#isEnded) return;
    if (local.devices.size > 0) return this.#say(connection.userId);
    clearTimeout(local.leaving);
    local.leaving = setTimeout(() => this.#leave(connection.userId), this.#uses.graceMs);
  }

  /** The user has asked for something over this connection. */
  asked(connection: Connection): void {
    if (!this.#isEnded && this.#idle.asked(connection)) this.#say(connection.userId);
  }

  async update(actor: Actor, ask: CommandInput<"update_status">): Promise<JsonText> {
    const { userId } = actor;
    const line = ask.customStatus === null ? { text: null, emoji: null, expiresAt: null } : ask.customStatus;
    const { answer } = await this.#uses.rules.write<WriteAnswer & { status: ChosenStatus }>(
      actor,
      "set_status_v1",
      { userId, status: ask.status, customStatus: line },
    );
    this.#uses.hub.signal(inboxTopic(userId), {
      kind: "status",
      payload: toJson({ userId, chosen: answer.status }),
    });
    this.#choose(userId, answer.status);
    return jsonObject({ status: toJson((await this.#read(userId, [userId]))[0]) });
  }

  async status(actor: Actor, ask: CommandInput<"user_status">): Promise<JsonText> {
    const [status] = await this.#read(actor.userId, [ask.userId]);
    if (status === undefined) {
      throw new ChatError("not_found", "userId: there is no such user", { field: "userId" });
    }
    return jsonObject({ status: toJson(status) });
  }

  async count(): Promise<JsonText> {
    return toJson({ count: await this.#uses.leases.count() });
  }

  /** Watched first and read then: nothing is missed in between. */
  async watch({ actor, connection }: Call, ask: CommandInput<"watch_presence">): Promise<JsonText> {
    if (connection !== undefined) this.#uses.feed.watch(connection, ask.userIds);
    return jsonObject({ statuses: toJson(await this.#read(actor.userId, ask.userIds)) });
  }

  /** Somebody is blocked, or no longer: to them alone the user goes, or comes. */
  async hide(actor: Actor, from: UserId): Promise<void> {
    try {
      const [status] = await this.#read(from, [actor.userId]);
      const { rooms } = await presenceAudience(this.#db, actor.userId, false);
      if (status !== undefined) {
        this.#uses.feed.publish({ userId: actor.userId, others: status, rooms, hiddenFrom: [], only: from });
      }
    } catch (fault) {
      this.#uses.log.warn("presence.untold", describeFault(fault));
    }
  }

  /** In the order asked; unknown users are left out. */
  async #read(asker: UserId, userIds: readonly UserId[]): Promise<UserStatus[]> {
    const [rows, states] = await Promise.all([
      readStatuses(this.#db, asker, userIds),
      this.#uses.leases.statesOf(userIds),
    ]);
    const known = new Map(
      rows.map((row) => [row.userId, this.#show(asker, row, stateNow(row.chosen, states.get(row.userId)))]),
    );
    return [...new Set(userIds)].flatMap((userId) => known.get(userId) ?? []);
  }

  #show(asker: UserId, row: StatusRow, state: LeaseState | undefined): UserStatus {
    if (row.userId === asker) return shownToSelf(row, state);
    return row.hides ? hidden(row) : shownToOthers(row, state);
  }

  /** What the user chose, here or on another node. */
  #choose(userId: UserId, chosen: ChosenStatus): void {
    const local = this.#locals.get(userId);
    if (local === undefined || chosen.version < local.chosen.version) return;
    const isNews = chosen.version > local.chosen.version;
    local.chosen = chosen;
    this.#watchLine(userId, local);
    this.#say(userId, isNews);
  }

  #watchLine(userId: UserId, local: Local): void {
    clearTimeout(local.lineEnds);
    local.lineEnds = undefined;
    if (local.chosen.until === null || lineOf(local.chosen) === null) return;
    const leftMs = Date.parse(local.chosen.until) - Date.now();
    local.lineEnds = setTimeout(() => {
      this.#watchLine(userId, local);
      if (local.lineEnds === undefined) this.#say(userId, true);
    }, Math.min(leftMs, TIMER_MAX_MS));
  }

  #leave(userId: UserId): void {
    const local = this.#locals.get(userId);
    if (local === undefined) return;
    clearTimeout(local.lineEnds);
    this.#locals.delete(userId);
    this.#set(userId, undefined, false);
  }

  /** `isNews`: also where the state is as it was. */
  #say(userId: UserId, isNews = false): void {
    const local = this.#locals.get(userId);
    if (local === undefined) return;
    const isActive = local.devices.size === 0
      ? local.said !== "away"
      : [...local.devices].some((device) => this.#idle.isActive(device));
    const state = stateOf(local.chosen, isActive);
    if (state === local.said && !isNews) return;
    local.said = state;
    this.#set(userId, state, isNews);
  }

  #set(userId: UserId, state: LeaseState | undefined, isNews: boolean): void {
    if (this.#isEnded) return;
    void this.#uses.leases.set(userId, state).then(
      (shift) => this.#tell(userId, shift, isNews),
      (fault) => this.#uses.log.warn("presence.unset", describeFault(fault)),
    );
  }

  #tell(userId: UserId, { before, after }: Shift, isNews: boolean): void {
    // of who is unseen before and after, others hear nothing
    const toOthers = (isSeen(before) || isSeen(after)) && (before !== after || isNews);
    if (!toOthers && !isNews) return;
    const gone = isSeen(before) && after === undefined;
    const telling = (this.#telling.get(userId) ?? Promise.resolve())
      .then(() => this.#publish(userId, { gone, toOthers }))
      .catch((fault) => this.#uses.log.warn("presence.untold", describeFault(fault)))
      .finally(() => this.#telling.get(userId) === telling && this.#telling.delete(userId));
    this.#telling.set(userId, telling);
  }

  /** As the user is by now: several nodes may tell of one user at a time, and the last word is to be the right one. */
  async #publish(
    userId: UserId,
    news: { gone: boolean; toOthers: boolean },
  ): Promise<void> {
    if (this.#isEnded) return;
    const audience = await presenceAudience(this.#db, userId, news.gone);
    const { user, lastSeenAt, chosen, rooms, hiddenFrom } = audience;
    this.#choose(userId, chosen); // the word of it may have been lost
    const said = (await this.#uses.leases.statesOf([userId])).get(userId);
    if (this.#isEnded) return;
    const [known, state] = [{ userId, user, chosen, lastSeenAt }, stateNow(chosen, said)];
    this.#uses.feed.publish({
      ...{ userId, rooms, hiddenFrom },
      own: shownToSelf(known, state),
      ...news.toOthers ? { others: shownToOthers(known, state) } : {},
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#idle[Symbol.dispose]();
    for (const { leaving, lineEnds } of this.#locals.values()) {
      clearTimeout(leaving);
      clearTimeout(lineEnds);
    }
    this.#locals.clear();
    await Promise.all(this.#telling.values());
  }
}
