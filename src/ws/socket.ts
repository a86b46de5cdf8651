/**
 * One native socket: frames in, envelopes out. It translates and nothing else; what a command does is decided in
 * chat/. Nothing here throws into the runtime: an error in a WebSocket handler would end the process.
 */
import type { Actor, Call } from "../chat/actor.ts";
import { CommandLane } from "../chat/command_lane.ts";
import type { Commands } from "../chat/commands.ts";
import type { Connections, LiveConnection } from "../chat/connections.ts";
import type { Outlet } from "../delivery/connection.ts";
import { describeFault, type Log } from "../log.ts";
import { closeCodes, type CloseReason } from "../protocol/close_codes.ts";
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
import { type JsonText, toJson } from "../protocol/json_text.ts";
import { AUTHENTICATE_WITHIN_MS } from "../protocol/limits.ts";
import { Gatherer, nativeWire } from "./wire.ts";

export interface SocketUses {
  commands: Commands;
  connections: Connections;
  auth: (token: string) => Promise<Actor>;
  maxFrameBytes: number;
  log: Log;
}

/** Commands that a socket may have waiting and running. */
const DEPTH_MAX = 1_000;

type State =
  | { is: "anonymous"; timer: ReturnType<typeof setTimeout> }
  | { is: "opening"; waiting: string[] }
  | { is: "open"; live: LiveConnection }
  | { is: "closed" };

export class NativeSocket implements Outlet {
  readonly wire = nativeWire;
  readonly #socket: WebSocket;
  readonly #uses: SocketUses;
  readonly #batch: boolean;
  readonly #gatherer: Gatherer | undefined;
  readonly #lane = new CommandLane();
  readonly #onClosed: () => void;
  #state: State = { is: "opening", waiting: [] };

  /** `actor`: known already from the upgrade request's token, if it had one. */
  constructor(
    socket: WebSocket,
    uses: SocketUses,
    init: { batch: boolean; actor: Actor | undefined; onClosed: () => void },
  ) {
    this.#socket = socket;
    this.#uses = uses;
    this.#batch = init.batch;
    this.#onClosed = init.onClosed;
    this.#gatherer = init.batch ? new Gatherer((frame) => this.#write(frame)) : undefined;
    socket.onopen = () => this.#guard(() => this.#opened(init.actor));
    socket.onmessage = (event) => this.#guard(() => this.#received(event.data));
    socket.onclose = () => this.#guard(() => this.#ended());
    socket.onerror = () => {}; // a close follows
  }

  send(frame: string): void {
    if (this.#gatherer === undefined) this.#write(frame);
    else this.#gatherer.add(frame);
  }

  queuedBytes(): number {
    return this.#socket.bufferedAmount + (this.#gatherer?.waitingBytes ?? 0);
  }

  close(code: number, reason: string): void {
    this.#guard(() => {
      this.#gatherer?.close();
      this.#lane.clear();
      if (this.#socket.readyState <= WebSocket.OPEN) this.#socket.close(code, reason);
    });
  }

  /** The node goes away: a socket that has not signed in is not waited for. */
  drain(): void {
    if (this.#state.is !== "open") this.#shut("restart");
  }

  #write(frame: string): void {
    this.#guard(() => {
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(frame);
    });
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (fault) {
      this.#uses.log.error("socket.fault", describeFault(fault));
      this.#shut("restart");
    }
  }

  #shut(reason: CloseReason): void {
    if (this.#state.is === "open") return this.#state.live.connection.close(reason);
    try {
      this.#socket.close(closeCodes[reason].code, reason);
    } catch {
      // not open any more
    }
  }

  #opened(actor: Actor | undefined): void {
    if (actor !== undefined) return void this.#greet(actor);
    const timer = setTimeout(() => this.#shut("token"), AUTHENTICATE_WITHIN_MS);
    this.#state = { is: "anonymous", timer };
  }

  /** Registers the connection; what came in meanwhile is worked off afterwards. */
  async #greet(actor: Actor, beforeWork?: () => void): Promise<void> {
    const opening: State = { is: "opening", waiting: [] };
    this.#state = opening;
    try {
      const live = await this.#uses.connections.open(actor, this);
      if (this.#state !== opening) return live.end();
      this.#state = { is: "open", live };
      beforeWork?.();
      for (const text of opening.waiting) this.#received(text);
    } catch (fault) {
      this.#uses.log.warn("socket.open_failed", describeFault(fault));
      this.#tellError(undefined, fault, undefined);
      this.#shut("restart");
    }
  }

  #received(data: unknown): void {
    const state = this.#state;
    if (state.is === "closed") return;
    if (state.is === "open" && state.live.connection.closed !== undefined) return;
    const size = typeof data === "string" ? data.length : data instanceof ArrayBuffer ? data.byteLength : 0;
    if (size > this.#uses.maxFrameBytes) return this.#shut("too_large");
    if (typeof data !== "string") {
      return this.#tellError(undefined, new ChatError("invalid_request", "Expected a text frame"), undefined);
    }
    if (state.is === "opening") {
      if (state.waiting.length >= DEPTH_MAX) return this.#shut("too_much");
      state.waiting.push(data);
      return;
    }
    let parsed: ReturnType<typeof parseFrame>;
    try {
      parsed = parseFrame(data, this.#batch);
    } catch (fault) {
      return this.#tellError(undefined, fault, undefined);
    }
    for (const command of parsed) {
      if ("bad" in command) this.#tellError(command.id, command.bad, undefined);
      else if (state.is === "anonymous") this.#signIn(command);
      else this.#queue(state.live, command);
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
    void this.#uses.auth(token).then(
      (actor) => {
        if (this.#state.is === "closed") return;
        const answer = toJson({ userId: actor.userId, expiresAt: actor.expiresAt.toISOString() });
        return this.#greet(actor, () => id !== undefined && this.send(encodeAck(id, answer)));
      },
      (fault) => {
        this.#tellError(id, fault, event);
        this.#shut("token");
      },
    );
  }

  #queue(live: LiveConnection, command: Command): void {
    if (this.#lane.depth >= DEPTH_MAX) return live.connection.close("too_much");
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
      if (live.connection.closed === undefined && id !== undefined) this.send(encodeAck(id, answer));
      for (const action of after) action();
    } catch (fault) {
      this.#tellError(id, fault, event);
    }
  }

  #tellError(id: CommandId | undefined, fault: unknown, command: string | undefined): void {
    const told = fault instanceof ChatError ? fault : new ChatError("internal");
    const requestId = newRequestId();
    if (!(fault instanceof ChatError)) {
      this.#uses.log.error("command.fault", {
        requestId,
        command: command?.slice(0, 64),
        ...describeFault(fault),
      });
    }
    if (id !== undefined) return this.send(encodeAckError(id, told.toBody(requestId)));
    const body = {
      ...told.toBody(requestId),
      ...(command === undefined ? {} : { command: command.slice(0, 64).toWellFormed() }),
    };
    this.send(encodePush("error", toJson(body) as JsonText));
  }

  #ended(): void {
    const state = this.#state;
    this.#state = { is: "closed" };
    this.#gatherer?.close();
    this.#lane.clear();
    if (state.is === "anonymous") clearTimeout(state.timer);
    if (state.is === "open") state.live.end();
    this.#onClosed();
  }
}
