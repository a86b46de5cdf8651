/**
 * The command loop of one native socket: signs in, reads envelopes and hands their commands to the session. It
 * translates and nothing else.
 */
import type { Actor } from "../chat/actor.ts";
import type { Ticket } from "../chat/admission.ts";
import type { Connections } from "../chat/connections.ts";
import { closeCodes } from "../protocol/close_codes.ts";
import {
  type Command,
  type CommandId,
  encodeAck,
  encodeAckError,
  encodePush,
  parseFrame,
} from "../protocol/envelope.ts";
import { ChatError, errorCodes } from "../protocol/errors.ts";
import { toJson } from "../protocol/json_text.ts";
import { AUTHENTICATE_WITHIN_MS } from "../protocol/limits.ts";
import {
  type Asked,
  CommandSession,
  LARGE_CHARS,
  type Reply,
  type SessionUses,
} from "../sockets/command_session.ts";
import type { FrameListener } from "../sockets/framed_socket.ts";
import { spread } from "../sockets/spread.ts";
import { held, type Tarpit } from "../sockets/tarpit.ts";
import type { NativeSocket } from "./socket.ts";

export interface LoopUses extends SessionUses {
  connections: Connections;
  auth: (token: string) => Promise<Actor>;
  tarpit: Tarpit;
}

export interface LoopInit {
  batch: boolean;
  /** Known already from the upgrade request's token, if it had one. */
  actor: Actor | undefined;
  ticket: Ticket;
  onEnded: () => void;
}

type State =
  | { is: "anonymous"; timer: ReturnType<typeof setTimeout> | undefined }
  | { is: "opening"; waiting: (() => void)[] }
  | { is: "open" }
  | { is: "ended" };

export class CommandLoop implements FrameListener {
  readonly #socket: NativeSocket;
  readonly #uses: LoopUses;
  readonly #init: LoopInit;
  readonly #session: CommandSession;
  #state: State = { is: "anonymous", timer: undefined };

  constructor(socket: NativeSocket, uses: LoopUses, init: LoopInit) {
    this.#socket = socket;
    this.#uses = uses;
    this.#init = init;
    this.#session = new CommandSession({
      queuedBytes: () => socket.queuedBytes(),
      tellError: (error) => socket.send(encodePush("error", toJson(error))),
      closeFor: (reason) => socket.closeFor(reason),
    }, uses);
  }

  opened(): void {
    const { actor } = this.#init;
    if (actor !== undefined) return void this.#greet(actor);
    this.#state = {
      is: "anonymous",
      timer: setTimeout(() => this.#socket.closeFor("token"), spread(AUTHENTICATE_WITHIN_MS)),
    };
  }

  receivedBinary(_bytes: Uint8Array, done: () => void): void {
    done();
    this.#session.refuse(new ChatError("invalid_request", "Expected a text frame"));
  }

  received(text: string, done: () => void): void {
    const state = this.#state;
    if (state.is === "opening") return void state.waiting.push(() => this.received(text, done));
    const isLarge = text.length > LARGE_CHARS;
    if (isLarge && this.#session.weigh(text.length)) return;
    if (state.is === "open" && isLarge) {
      return this.#session.takeLater(() => this.#parse(text).map((command) => this.#asked(command)), done);
    }
    const found = this.#parse(text);
    let left = found.length;
    if (left === 0) done();
    const oneDone = () => --left === 0 && done();
    for (const command of found) this.#take(command, oneDone);
  }

  ended(): void {
    const state = this.#state;
    this.#state = { is: "ended" };
    this.#init.ticket.end(this.#socket.didHarm);
    if (state.is === "anonymous") clearTimeout(state.timer);
    this.#session.end();
    this.#init.onEnded();
  }

  /** The node goes away: a socket that has not signed in is not waited for. */
  drain(): void {
    if (this.#state.is !== "open") this.#socket.closeFor("restart");
  }

  /** The commands of a frame; what is none has been refused. */
  #parse(text: string): Command[] {
    try {
      return parseFrame(text, this.#init.batch).filter((each) => {
        if ("bad" in each) this.#session.refuse(each.bad, this.#reply(each.id));
        return !("bad" in each);
      }) as Command[];
    } catch (fault) {
      this.#session.refuse(fault instanceof ChatError ? fault : new ChatError("invalid_request"));
      return [];
    }
  }

  #take(command: Command, done: () => void): void {
    const state = this.#state;
    if (state.is === "opening") return void state.waiting.push(() => this.#take(command, done));
    if (state.is === "open") return this.#session.take(this.#asked(command), done);
    if (state.is === "anonymous") this.#signIn(command, state.timer);
    done();
  }

  /** Registers the connection; what came in meanwhile is worked off afterwards. */
  async #greet(actor: Actor, beforeWork?: () => void): Promise<void> {
    const opening: State = { is: "opening", waiting: [] };
    this.#state = opening;
    try {
      const live = await this.#uses.connections.open(actor, this.#socket);
      if (this.#state !== opening) return live.end();
      this.#session.begin(live);
      this.#state = { is: "open" };
      beforeWork?.();
      for (const work of opening.waiting) work();
    } catch (fault) {
      this.#session.tellError(undefined, fault);
      this.#socket.closeFor("restart");
    }
  }

  #asked({ event, data, id }: Command): Asked {
    return { event, data, reply: this.#reply(id) };
  }

  #reply(id: CommandId | undefined): Reply | undefined {
    return id === undefined ? undefined : {
      answer: (data) => this.#socket.send(encodeAck(id, data)),
      refuse: (error) => this.#socket.send(encodeAckError(id, error)),
    };
  }

  #signIn({ event, data, id }: Command, timer: ReturnType<typeof setTimeout> | undefined): void {
    const token = typeof data === "object" && data !== null && "token" in data ? data.token : undefined;
    if (event !== "authenticate" || typeof token !== "string") {
      const fault = new ChatError("unauthenticated", "Expected authenticate with a token first");
      return this.#session.tellError(this.#reply(id), fault, event);
    }
    clearTimeout(timer);
    const signingIn: State = { is: "opening", waiting: [] };
    this.#state = signingIn;
    void this.#authenticate(token).then(
      (actor) => {
        if (this.#state !== signingIn) return;
        const answer = toJson({ userId: actor.userId, expiresAt: actor.expiresAt.toISOString() });
        const greeted = this.#greet(actor, () => this.#reply(id)?.answer(answer));
        if (this.#state.is === "opening") this.#state.waiting.push(...signingIn.waiting);
        return greeted;
      },
      async (fault) => {
        await held(this.#uses.tarpit, fault, this.#uses.log);
        this.#session.tellError(this.#reply(id), fault, event);
        const code = fault instanceof ChatError ? fault.code : "internal";
        // only a bad token is final: a key set out of reach, or too many sockets, may pass
        const reason = errorCodes[code].status === 401
          ? "token"
          : code === "rate_limited"
          ? "too_much"
          : "restart";
        this.#socket.close(closeCodes[reason].code, reason, false);
      },
    );
  }

  async #authenticate(token: string): Promise<Actor> {
    const actor = await this.#uses.auth(token);
    this.#init.ticket.signIn(actor.userId);
    return actor;
  }
}
