/**
 * Connections: a socket's life as its user. It hears its inbox from the first moment, is greeted, is warned before
 * its token ends and closed when it does, and goes on with a fresh one. Drain tells all to come back elsewhere.
 */
import { Connection, type Outlet } from "../delivery/connection.ts";
import type { Hub } from "../delivery/hub.ts";
import { inboxTopic } from "../delivery/pushes.ts";
import { ChatError } from "../protocol/errors.ts";
import { newConnectionId, type NodeId } from "../protocol/ids.ts";
import { TOKEN_WARNING_MS } from "../protocol/limits.ts";
import type { Actor } from "./actor.ts";
import type { Authenticate } from "./auth.ts";
import type { Presence } from "./presence.ts";
import type { Begun } from "./recovery.ts";
import type { Typing } from "./typing.ts";
import type { Users } from "./users.ts";

const TIMER_MAX_MS = 2 ** 31 - 1;
/** A drain takes so long for each socket, up to its window. */
const DRAIN_MS_A_SOCKET = 4;
/** For what a socket has under way when its time has come. */
const LEAVE_MS = 2_000;

/** Answers how the connection goes on; undefined: it begins anew. */
export type Resume = (begun: Begun) => Promise<(() => void) | undefined>;

export class Connections {
  readonly #auth: Authenticate;
  readonly #users: Users;
  readonly #hub: Hub;
  readonly #typing: Typing;
  readonly #presence: Presence;
  readonly #node: { id: NodeId; region: string };
  readonly #live = new Set<LiveConnection>();

  constructor(
    uses: {
      auth: Authenticate;
      users: Users;
      hub: Hub;
      typing: Typing;
      presence: Presence;
      node: { id: NodeId; region: string };
    },
  ) {
    this.#auth = uses.auth;
    this.#users = uses.users;
    this.#hub = uses.hub;
    this.#typing = uses.typing;
    this.#presence = uses.presence;
    this.#node = uses.node;
  }

  get count(): number {
    return this.#live.size;
  }

  /**
   * Ready to take commands once this settles; `hello` has been sent. `resume` may read what the client missed: what it
   * answers is done after the greeting.
   */
  async open(actor: Actor, outlet: Outlet, resume?: Resume): Promise<LiveConnection> {
    const connection = new Connection(newConnectionId(), actor.userId, outlet);
    const topic = inboxTopic(actor.userId);
    const { subscription, open } = this.#hub.hear(connection, topic);
    const live = new LiveConnection(connection, actor, {
      renew: async (token) => {
        const fresh = await this.#auth(token);
        if (fresh.userId !== actor.userId) {
          throw new ChatError("forbidden", "token: of another user", { field: "token" });
        }
        await this.#users.project(fresh);
        return fresh;
      },
      ended: () => {
        this.#typing.ended(connection, live.actor);
        this.#presence.ended(connection);
        this.#hub.drop(connection);
        this.#live.delete(live);
      },
    });
    this.#live.add(live);
    try {
      await open;
      const { inboxSeq, epoch, status } = await this.#users.project(actor);
      this.#hub.startAt(topic, inboxSeq);
      const goOn = await resume?.({ connection, inbox: subscription, epoch, inboxSeq });
      if (goOn === undefined) subscription.told(inboxSeq);
      connection.tellObject("hello", {
        connectionId: connection.id,
        nodeId: this.#node.id,
        region: this.#node.region,
        epoch,
        userId: actor.userId,
        inbox: { epoch, seq: inboxSeq },
        expiresAt: actor.expiresAt.toISOString(),
      });
      if (goOn === undefined) subscription.goLive(inboxSeq);
      else goOn();
      if (connection.closed === undefined) this.#presence.connected(connection, status);
      return live;
    } catch (fault) {
      live.end();
      throw fault;
    }
  }

  /**
   * Every socket is told to go, and when: spread over `windowMs` at most, so that they do not all come to the next node
   * at once. Until then it is served as before. Settles when their times are over.
   */
  async drain(windowMs: number): Promise<void> {
    const live = [...this.#live];
    const spreadMs = Math.min(windowMs, live.length * DRAIN_MS_A_SOCKET);
    await Promise.all(live.map(async ({ connection }, i) => {
      const retryInMs = Math.round(spreadMs * (i + Math.random()) / live.length);
      connection.tellObject("server_draining", { retryInMs });
      await new Promise((resolve) => setTimeout(resolve, retryInMs));
      await connection.leave("restart", LEAVE_MS);
    }));
  }

  /** Whoever is left. */
  closeAll(): void {
    for (const live of [...this.#live]) live.connection.close("restart");
  }
}

/** One open socket and who it is now. */
export class LiveConnection {
  readonly connection: Connection;
  #actor: Actor;
  readonly #uses: { renew: (token: string) => Promise<Actor>; ended: () => void };
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(
    connection: Connection,
    actor: Actor,
    uses: { renew: (token: string) => Promise<Actor>; ended: () => void },
  ) {
    this.connection = connection;
    this.#actor = actor;
    this.#uses = uses;
    this.#watchExpiry(true);
  }

  get actor(): Actor {
    return this.#actor;
  }

  /** In place: the same user, later. Throws what auth throws, and `forbidden` for another user's token. */
  async renew(token: string): Promise<Actor> {
    const fresh = await this.#uses.renew(token);
    this.#actor = fresh;
    if (!this.#ended) this.#watchExpiry(true);
    return fresh;
  }

  /** The transport is gone, or never came: everything it held goes too. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.connection.gone();
    this.#uses.ended();
  }

  #watchExpiry(warn: boolean): void {
    clearTimeout(this.#timer);
    const leftMs = this.#actor.expiresAt.getTime() - Date.now();
    if (leftMs <= 0) return this.connection.close("token");
    const warnInMs = leftMs - Math.min(TOKEN_WARNING_MS, leftMs / 2);
    const waitMs = Math.min(warn ? warnInMs : leftMs, TIMER_MAX_MS);
    this.#timer = setTimeout(() => {
      if (warn && waitMs === warnInMs) {
        this.connection.tellObject("token_expiring", { expiresAt: this.#actor.expiresAt.toISOString() });
        this.#watchExpiry(false);
      } else {
        this.#watchExpiry(warn);
      }
    }, waitMs);
  }
}
