/**
 * The Socket.IO door: an engine whose clients sign in to the main namespace with `auth.token` and are connections like
 * any other. A client that brings the offset of an earlier connection goes on where that ended, if that can be had.
 */
import type { Actor } from "../chat/actor.ts";
import type { Admission, Ticket } from "../chat/admission.ts";
import type { Connections } from "../chat/connections.ts";
import type { Recovery } from "../chat/recovery.ts";
import { ChatError, errorCodes } from "../protocol/errors.ts";
import { newRequestId, type UserId } from "../protocol/ids.ts";
import { AUTHENTICATE_WITHIN_MS } from "../protocol/limits.ts";
import type { Caller } from "../sockets/caller.ts";
import type { SessionUses } from "../sockets/command_session.ts";
import { logFault } from "../sockets/guard.ts";
import { held } from "../sockets/tarpit.ts";
import { ChatSocket } from "./chat_socket.ts";
import { Engine, type EngineOptions } from "./engine/engine.ts";
import type { Session, SessionListener } from "./engine/session.ts";
import { parseOffset } from "./offset.ts";
import { Client, type Connected, ConnectRefused } from "./protocol/client.ts";
import type { ClientSocket } from "./protocol/client_socket.ts";
import { newPid, pidIsOf } from "./pid.ts";

export interface SocketIoDoorOptions extends Omit<EngineOptions, "accept">, SessionUses {
  connections: Connections;
  recovery: Recovery;
  admission: Admission;
  auth: (token: string) => Promise<Actor>;
}

const NAMESPACE = "/";

export class SocketIoDoor {
  readonly #options: SocketIoDoorOptions;
  readonly #engine: Engine;
  /** That have not signed in. */
  readonly #anonymous = new Set<Session>();
  #draining = false;

  constructor(options: SocketIoDoorOptions) {
    this.#options = options;
    this.#engine = new Engine({ ...options, accept: (session, caller) => this.#accept(session, caller) });
  }

  get count(): number {
    return this.#engine.count;
  }

  /** Answers a request of a client's transport. Never throws. */
  handle(request: Request, caller: Caller): Promise<Response> {
    return this.#engine.handle(request, caller);
  }

  /** No new sessions from now on; those that never signed in go at once. */
  drain(): void {
    this.#draining = true;
    for (const session of [...this.#anonymous]) session.forget();
  }

  /** Settles when no session is left. */
  emptied(): Promise<void> {
    return this.#engine.emptied();
  }

  /** Nobody is waited for any longer. */
  end(): void {
    this.#engine.end();
  }

  #accept(session: Session, caller: Caller): SessionListener {
    const { admission, work, warden, maxFrameBytes, log } = this.#options;
    if (this.#draining) throw new ChatError("unavailable", "This node is going away");
    if (work.overloaded || warden.isCrowded) {
      throw new ChatError("busy", "The node has more to do than it can");
    }
    const ticket = admission.admit(caller.address, undefined);
    this.#anonymous.add(session);
    return new Client(session, {
      connectWithinMs: AUTHENTICATE_WITHIN_MS,
      maxFrameBytes,
      log,
      connect: (socket, auth) =>
        socket.namespace === NAMESPACE ? this.#connect(session, socket, auth, ticket) : undefined,
      ended: () => {
        ticket.end(session.didHarm);
        this.#anonymous.delete(session);
      },
    });
  }

  async #connect(
    session: Session,
    socket: ClientSocket,
    auth: Record<string, unknown>,
    ticket: Ticket,
  ): Promise<Connected> {
    try {
      const actor = await this.#signIn(auth["token"], ticket);
      return await this.#open(session, socket, auth, actor);
    } catch (fault) {
      const told = fault instanceof ChatError ? fault : new ChatError("internal");
      const requestId = newRequestId();
      await held(this.#options.tarpit, told, this.#options.log);
      if (told !== fault) logFault(this.#options.log, "socketio.connect_fault", fault, { requestId });
      // who is refused by name does not come back by itself, and for what passes it should
      if (errorCodes[told.code].status >= 500) session.closeFor("restart");
      throw new ConnectRefused(told.message, told.toBody(requestId));
    }
  }

  async #signIn(token: unknown, ticket: Ticket): Promise<Actor> {
    if (typeof token !== "string") {
      throw new ChatError("unauthenticated", "Expected a token as auth.token");
    }
    const actor = await this.#options.auth(token);
    // let in for as long as clocks may differ, it would be closed at once, and come back again and again
    if (actor.expiresAt.getTime() <= Date.now()) throw new ChatError("token_expired");
    ticket.signIn(actor.userId);
    return actor;
  }

  async #open(
    session: Session,
    socket: ClientSocket,
    auth: Record<string, unknown>,
    actor: Actor,
  ): Promise<Connected> {
    const { connections, recovery } = this.#options;
    const { userId } = actor;
    const chatSocket = new ChatSocket(socket, session, this.#options);
    const pid = await this.#knownPid(auth["pid"], userId);
    const told = pid === undefined ? undefined : parseOffset(auth["offset"]);
    let isRecovered = false;
    const live = await connections.open(actor, chatSocket, async (begun) => {
      chatSocket.queue.account(begun.epoch);
      const goOn = told === undefined ? undefined : await recovery.begin(begun, told);
      isRecovered = goOn !== undefined;
      return goOn;
    });
    chatSocket.commands.begin(live);
    this.#anonymous.delete(session);
    return {
      id: live.connection.id,
      // the client takes itself for recovered if this is the one that it brought
      pid: isRecovered && pid !== undefined ? pid : await newPid(userId),
      listener: chatSocket,
      greet: () => chatSocket.queue.release(),
    };
  }

  /** An offset is worth something to the user alone whom it was given. */
  async #knownPid(pid: unknown, userId: UserId): Promise<string | undefined> {
    return typeof pid === "string" && await pidIsOf(pid, userId) ? pid : undefined;
  }
}
