/**
 * The command loop of one socket: signs in, reads envelopes, runs commands in order and answers them. It translates
 * and nothing else; what a command does is decided in chat/.
 */
import type { Actor, Call } from "../chat/actor.ts";
import type { Ticket } from "../chat/admission.ts";
import { CommandLane } from "../chat/command_lane.ts";
import type { Commands } from "../chat/commands.ts";
import type { Connections, LiveConnection } from "../chat/connections.ts";
import type { WorkQueue } from "../chat/work_queue.ts";
import { describeFault, type Log } from "../log.ts";
import { commands, isCommandName } from "../protocol/commands.ts";
import {
  type Command,
  type CommandId,
  encodeAck,
  encodeAckError,
  encodePush,
  parseFrame,
} from "../protocol/envelope.ts";
import { ChatError } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/ids.ts";
import { toJson } from "../protocol/json_text.ts";
import { AUTHENTICATE_WITHIN_MS, SEND_QUEUE_BYTES_MAX } from "../protocol/limits.ts";
import type { FrameListener, NativeSocket } from "./socket.ts";

export interface LoopUses {
  commands: Commands;
  connections: Connections;
  auth: (token: string) => Promise<Actor>;
  work: WorkQueue;
  log: Log;
}

/** Commands that wait and run; and refusals for their rate in a row after which a client is no longer listened to. */
const DEPTH_MAX = 1_000;
const RATE_REFUSALS_MAX = 500;

type State =
  | { is: "anonymous"; timer: ReturnType<typeof setTimeout> | undefined }
  | { is: "opening"; waiting: string[] }
  | { is: "open"; live: LiveConnection }
  | { is: "ended" };

export class CommandLoop implements FrameListener {
  readonly #socket: NativeSocket;
  readonly #uses: LoopUses;
  readonly #init: { batch: boolean; actor: Actor | undefined; ticket: Ticket; onEnded: () => void };
  readonly #lane = new CommandLane();
  #state: State = { is: "anonymous", timer: undefined };
  #rateRefusals = 0;

  /** `actor`: known already from the upgrade request's token, if it had one. */
  constructor(
    socket: NativeSocket,
    uses: LoopUses,
    init: { batch: boolean; actor: Actor | undefined; ticket: Ticket; onEnded: () => void },
  ) {
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
    this.#tellError(undefined, new ChatError("invalid_request", "Expected a text frame"));
  }

  received(text: string): void {
    const state = this.#state;
    if (state.is === "ended") return;
    if (state.is === "opening") {
      if (state.waiting.length >= DEPTH_MAX) this.#socket.closeFor("too_much");
      else state.waiting.push(text);
      return;
    }
    try {
      for (const command of parseFrame(text, this.#init.batch)) {
        if ("bad" in command) this.#tellError(command.id, command.bad);
        else if (state.is === "anonymous") this.#signIn(command);
        else this.#queue(state.live, command);
      }
    } catch (fault) {
      this.#tellError(undefined, fault);
    }
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

  /** Registers the connection; what came in meanwhile is worked off afterwards. */
  async #greet(actor: Actor, beforeWork?: () => void): Promise<void> {
    const opening: State = { is: "opening", waiting: [] };
    this.#state = opening;
    try {
      const live = await this.#uses.connections.open(actor, this.#socket);
      if (this.#state !== opening) return live.end();
      this.#state = { is: "open", live };
      beforeWork?.();
      for (const text of opening.waiting) this.received(text);
    } catch (fault) {
      this.#tellError(undefined, fault);
      this.#socket.closeFor("restart");
    }
  }

  #signIn(command: Command): void {
    const { event, data, id } = command;
    if (this.#state.is !== "anonymous") {
      return this.#tellError(id, new ChatError("unauthenticated", "One authenticate at a time"), event);
    }
    const token = typeof data === "object" && data !== null && "token" in data ? data.token : undefined;
    if (event !== "authenticate" || typeof token !== "string") {
      return this.#tellError(
        id,
        new ChatError("unauthenticated", "Expected authenticate with a token first"),
        event,
      );
    }
    clearTimeout(this.#state.timer);
    this.#state = { is: "opening", waiting: [] };
    void this.#authenticate(token).then(
      (actor) => {
        if (this.#state.is === "ended") return;
        const answer = toJson({ userId: actor.userId, expiresAt: actor.expiresAt.toISOString() });
        return this.#greet(actor, () => id !== undefined && this.#socket.send(encodeAck(id, answer)));
      },
      (fault) => {
        this.#tellError(id, fault, event);
        this.#socket.closeFor("token");
      },
    );
  }

  async #authenticate(token: string): Promise<Actor> {
    const actor = await this.#uses.auth(token);
    this.#init.ticket.signIn(actor.userId);
    return actor;
  }

  #queue(live: LiveConnection, command: Command): void {
    if (this.#uses.work.overloaded) {
      return this.#tellError(
        command.id,
        new ChatError("busy", undefined, { retryAfterMs: 1_000 }),
        command.event,
      );
    }
    if (this.#lane.depth >= DEPTH_MAX) return live.connection.close("too_much");
    // a client that asks and does not read its answers
    if (this.#socket.queuedBytes() > SEND_QUEUE_BYTES_MAX) return live.connection.close("slow_consumer");
    const concurrent = isCommandName(command.event) && commands[command.event].concurrent;
    this.#lane.add(concurrent, () => this.#run(live, command));
  }

  async #run(live: LiveConnection, { event, data, id }: Command): Promise<void> {
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
      if (live.connection.closed === undefined && id !== undefined) this.#socket.send(encodeAck(id, answer));
      for (const action of after) action();
      this.#rateRefusals = 0;
    } catch (fault) {
      this.#tellError(id, fault, event);
      const refused = fault instanceof ChatError && fault.code === "rate_limited";
      if (refused && ++this.#rateRefusals > RATE_REFUSALS_MAX) live.connection.close("too_much");
    }
  }

  #tellError(id: CommandId | undefined, fault: unknown, command?: string): void {
    const told = fault instanceof ChatError ? fault : new ChatError("internal");
    const requestId = newRequestId();
    if (told !== fault) {
      this.#uses.log.error("command.fault", {
        requestId,
        command: command?.slice(0, 64),
        ...describeFault(fault),
      });
    }
    const body = told.toBody(requestId);
    if (id !== undefined) return this.#socket.send(encodeAckError(id, body));
    const named = command === undefined ? {} : { command: command.slice(0, 64).toWellFormed() };
    this.#socket.send(encodePush("error", toJson({ ...body, ...named })));
  }
}
