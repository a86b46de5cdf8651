/**
 * The command loop of one socket: signs in, reads envelopes, runs commands in order and answers them. It translates
 * and nothing else; what a command does is decided in chat/.
 */
import type { Actor, Call } from "../chat/actor.ts";
import type { Ticket } from "../chat/admission.ts";
import { CommandLane } from "../chat/command_lane.ts";
import type { Commands } from "../chat/commands.ts";
import type { Connections, LiveConnection } from "../chat/connections.ts";
import { Allowance } from "../chat/rates.ts";
import type { WorkQueue } from "../chat/work_queue.ts";
import type { Log } from "../log.ts";
import type { CloseReason } from "../protocol/close_codes.ts";
import { commands, isCommandName } from "../protocol/commands.ts";
import {
  type BadCommand,
  type Command,
  type CommandId,
  encodeAck,
  encodeAckError,
  encodePush,
  parseFrame,
} from "../protocol/envelope.ts";
import { ChatError, type ErrorCode, errorCodes } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/ids.ts";
import { toJson } from "../protocol/json_text.ts";
import { AUTHENTICATE_WITHIN_MS, SEND_QUEUE_BYTES_MAX } from "../protocol/limits.ts";
import { logFault } from "./guard.ts";
import type { FrameListener, NativeSocket } from "./socket.ts";

export interface LoopUses {
  commands: Commands;
  connections: Connections;
  auth: (token: string) => Promise<Actor>;
  work: WorkQueue;
  log: Log;
}

export interface LoopInit {
  batch: boolean;
  /** Known already from the upgrade request's token, if it had one. */
  actor: Actor | undefined;
  ticket: Ticket;
  onEnded: () => void;
}

/** Commands that wait and run. */
const DEPTH_MAX = 1_000;
/** JSON can be twenty times as large once it is parsed: a frame above this is parsed when its turn comes, alone. */
const LARGE_CHARS = 64 * 1024;
/** What no rate of commands counts: frames that are none, refusals of those that came too fast, and the size of frames. */
const PATIENCE = { perSecond: 50, burst: 500 };
/** Of one large frame, whatever an operator allows. */
const LARGE_COST_MAX = 50;
const TRIES_PATIENCE: ReadonlySet<ErrorCode> = new Set([
  "rate_limited",
  "busy",
  "unknown_command",
  "unauthenticated",
]);

type State =
  | { is: "anonymous"; timer: ReturnType<typeof setTimeout> | undefined }
  | { is: "opening"; waiting: (() => void)[] }
  | { is: "open"; live: LiveConnection }
  | { is: "ended" };

export class CommandLoop implements FrameListener {
  readonly #socket: NativeSocket;
  readonly #uses: LoopUses;
  readonly #init: LoopInit;
  readonly #lane = new CommandLane();
  readonly #patience = new Allowance(PATIENCE);
  #state: State = { is: "anonymous", timer: undefined };

  constructor(socket: NativeSocket, uses: LoopUses, init: LoopInit) {
    this.#socket = socket;
    this.#uses = uses;
    this.#init = init;
  }

  opened(): void {
    const { actor } = this.#init;
    if (actor !== undefined) return void this.#greet(actor);
    this.#state = {
      is: "anonymous",
      timer: setTimeout(() => this.#socket.closeFor("token"), AUTHENTICATE_WITHIN_MS),
    };
  }

  receivedBinary(): void {
    this.#refuse({ bad: new ChatError("invalid_request", "Expected a text frame"), id: undefined });
  }

  received(text: string, done: () => void): void {
    const state = this.#state;
    if (state.is === "opening") return void state.waiting.push(() => this.received(text, done));
    const isLarge = text.length > LARGE_CHARS;
    if (isLarge && this.#losePatience(Math.min(LARGE_COST_MAX, text.length / LARGE_CHARS))) return;
    if (state.is === "open" && isLarge) {
      return this.#lane.add(false, async () => {
        for (const command of this.#parse(text)) await this.#run(state.live, command);
        done();
      });
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
    this.#lane.clear();
    this.#init.ticket.end();
    if (state.is === "anonymous") clearTimeout(state.timer);
    if (state.is === "open") state.live.end();
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
        if ("bad" in each) this.#refuse(each);
        return !("bad" in each);
      }) as Command[];
    } catch (fault) {
      const bad = fault instanceof ChatError ? fault : new ChatError("invalid_request");
      this.#refuse({ bad, id: undefined });
      return [];
    }
  }

  #take(command: Command, done: () => void): void {
    const state = this.#state;
    if (state.is === "opening") return void state.waiting.push(() => this.#take(command, done));
    if (state.is === "open") return this.#queue(state.live, command, done);
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
      this.#state = { is: "open", live };
      beforeWork?.();
      for (const work of opening.waiting) work();
    } catch (fault) {
      this.#tellError(undefined, fault);
      this.#socket.closeFor("restart");
    }
  }

  #signIn({ event, data, id }: Command, timer: ReturnType<typeof setTimeout> | undefined): void {
    const token = typeof data === "object" && data !== null && "token" in data ? data.token : undefined;
    if (event !== "authenticate" || typeof token !== "string") {
      const fault = new ChatError("unauthenticated", "Expected authenticate with a token first");
      return this.#tellError(id, fault, event);
    }
    clearTimeout(timer);
    const signingIn: State = { is: "opening", waiting: [] };
    this.#state = signingIn;
    void this.#authenticate(token).then(
      (actor) => {
        if (this.#state !== signingIn) return;
        const answer = toJson({ userId: actor.userId, expiresAt: actor.expiresAt.toISOString() });
        const greeted = this.#greet(actor, () => id !== undefined && this.#send(encodeAck(id, answer)));
        if (this.#state.is === "opening") this.#state.waiting.push(...signingIn.waiting);
        return greeted;
      },
      (fault) => {
        this.#tellError(id, fault, event);
        const code = fault instanceof ChatError ? fault.code : "internal";
        // only a bad token is final: a key set out of reach, or too many sockets, may pass
        this.#socket.closeFor(
          errorCodes[code].status === 401 ? "token" : code === "rate_limited" ? "too_much" : "restart",
        );
      },
    );
  }

  async #authenticate(token: string): Promise<Actor> {
    const actor = await this.#uses.auth(token);
    this.#init.ticket.signIn(actor.userId);
    return actor;
  }

  #queue(live: LiveConnection, command: Command, done: () => void): void {
    if (this.#uses.work.overloaded) {
      this.#tellError(command.id, new ChatError("busy", undefined, { retryAfterMs: 1_000 }), command.event);
      return done();
    }
    if (this.#lane.depth >= DEPTH_MAX) return this.#close("too_much");
    const concurrent = isCommandName(command.event) && commands[command.event].concurrent;
    this.#lane.add(concurrent, () => this.#run(live, command).then(done));
  }

  async #run(live: LiveConnection, { event, data, id }: Command): Promise<void> {
    if (live.connection.closed !== undefined) return;
    if (this.#isUnread()) return this.#close("slow_consumer");
    const after: (() => void)[] = [];
    const call: Call = {
      actor: live.actor,
      connection: live.connection,
      acked: id !== undefined,
      afterAnswer: (action) => after.push(action),
      renew: (token) => live.renew(token),
    };
    try {
      const answer = await this.#uses.commands.run(event, call, data);
      if (live.connection.closed === undefined && id !== undefined) this.#send(encodeAck(id, answer));
      for (const action of after) action();
    } catch (fault) {
      this.#tellError(id, fault, event);
    }
  }

  #tellError(id: CommandId | undefined, fault: unknown, command?: string): void {
    const told = fault instanceof ChatError ? fault : new ChatError("internal");
    const requestId = newRequestId();
    if (told !== fault) {
      logFault(this.#uses.log, "command.fault", fault, { requestId, command: command?.slice(0, 64) });
    }
    const body = told.toBody(requestId);
    const named = command === undefined ? {} : { command: command.slice(0, 64).toWellFormed() };
    this.#send(
      id === undefined ? encodePush("error", toJson({ ...body, ...named })) : encodeAckError(id, body),
    );
    if (TRIES_PATIENCE.has(told.code)) this.#losePatience();
  }

  #refuse({ bad, id }: BadCommand): void {
    this.#tellError(id, bad);
    this.#losePatience();
  }

  /** True if that was the last of it. */
  #losePatience(cost = 1): boolean {
    const isLast = this.#patience.take(cost) > 0;
    if (isLast) this.#close("too_much");
    return isLast;
  }

  #isUnread(): boolean {
    return this.#socket.queuedBytes() > SEND_QUEUE_BYTES_MAX;
  }

  /** One answer may be of any size; who asks on and does not read is closed. */
  #send(frame: string): void {
    if (this.#isUnread()) this.#close("slow_consumer");
    else this.#socket.send(frame);
  }

  /** By way of the connection, which remembers why. */
  #close(reason: CloseReason): void {
    if (this.#state.is === "open") this.#state.live.connection.close(reason);
    else this.#socket.closeFor(reason);
  }
}
