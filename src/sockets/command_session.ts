/**
 * What one connection asks for, whatever its door: commands run in order and fairly, answered or refused, and a client
 * that asks for too much, or does not read, is closed. Doors read and write the frames; what a command does is decided
 * in chat/.
 */
import type { Call } from "../chat/actor.ts";
import { CommandLane } from "../chat/command_lane.ts";
import type { Commands } from "../chat/commands.ts";
import type { LiveConnection } from "../chat/connections.ts";
import { Allowance } from "../chat/rates.ts";
import type { WorkQueue } from "../chat/work_queue.ts";
import type { Log } from "../log.ts";
import type { CloseReason } from "../protocol/close_codes.ts";
import { commands, isCommandName } from "../protocol/commands.ts";
import { ChatError, type ErrorBody, type ErrorCode } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/ids.ts";
import type { JsonText } from "../protocol/json_text.ts";
import { SEND_QUEUE_BYTES_MAX } from "../protocol/limits.ts";
import { logFault } from "./guard.ts";

export interface SessionUses {
  commands: Commands;
  work: WorkQueue;
  log: Log;
}

/** How the door tells one client. None of these throws. */
export interface SessionOutlet {
  queuedBytes(): number;
  /** A refusal that no acknowledgement waits for. */
  tellError(error: ErrorBody & { command?: string }): void;
  closeFor(reason: CloseReason): void;
}

/** What waits for the answer to one command. None of these throws. */
export interface Reply {
  answer(data: JsonText): void;
  refuse(error: ErrorBody): void;
}

export interface Asked {
  event: string;
  data: unknown;
  reply: Reply | undefined;
}

/** JSON can be twenty times as large once it is parsed: what is above this is parsed when its turn comes, alone. */
export const LARGE_CHARS = 64 * 1024;
/** Of one large frame, whatever an operator allows. */
const LARGE_COST_MAX = 50;
/** Commands that wait and run. */
const DEPTH_MAX = 1_000;
/** What no rate of commands counts: frames that are none, refusals of those that came too fast, and the size of frames. */
const PATIENCE = { perSecond: 50, burst: 500 };
const TRIES_PATIENCE: ReadonlySet<ErrorCode> = new Set([
  "rate_limited",
  "busy",
  "unknown_command",
  "unauthenticated",
]);

export class CommandSession {
  readonly #outlet: SessionOutlet;
  readonly #uses: SessionUses;
  readonly #lane = new CommandLane();
  readonly #patience = new Allowance(PATIENCE);
  #live: LiveConnection | undefined;

  constructor(outlet: SessionOutlet, uses: SessionUses) {
    this.#outlet = outlet;
    this.#uses = uses;
  }

  /** The client has signed in: commands are taken from now on. */
  begin(live: LiveConnection): void {
    this.#live = live;
  }

  /** One command. `done`: when it has been answered. */
  take(asked: Asked, done: () => void): void {
    if (this.#uses.work.overloaded) {
      this.tellError(asked.reply, new ChatError("busy", undefined, { retryAfterMs: 1_000 }), asked.event);
      return done();
    }
    if (this.#lane.depth >= DEPTH_MAX) return this.close("too_much");
    const concurrent = isCommandName(asked.event) && commands[asked.event].concurrent;
    this.#lane.add(concurrent, () => this.#run(asked).then(done));
  }

  /** What is so long that it is read when its turn has come, alone. `read` must not throw. */
  takeLater(read: () => readonly Asked[], done: () => void): void {
    this.#lane.add(false, async () => {
      for (const asked of read()) await this.#run(asked);
      done();
    });
  }

  async #run({ event, data, reply }: Asked): Promise<void> {
    const live = this.#live;
    if (live === undefined || live.connection.closed !== undefined) return;
    if (this.#isUnread()) return this.close("slow_consumer");
    const after: (() => void)[] = [];
    const call: Call = {
      actor: live.actor,
      connection: live.connection,
      acked: reply !== undefined,
      afterAnswer: (action) => after.push(action),
      renew: (token) => live.renew(token),
    };
    try {
      const answer = await this.#uses.commands.run(event, call, data);
      if (live.connection.closed === undefined && reply !== undefined) this.#tell(() => reply.answer(answer));
      for (const action of after) action();
    } catch (fault) {
      this.tellError(reply, fault, event);
    }
  }

  /** What is no ChatError is a fault of ours: logged, and told as `internal`. */
  tellError(reply: Reply | undefined, fault: unknown, command?: string): void {
    const told = fault instanceof ChatError ? fault : new ChatError("internal");
    const requestId = newRequestId();
    if (told !== fault) {
      logFault(this.#uses.log, "command.fault", fault, { requestId, command: command?.slice(0, 64) });
    }
    const body = told.toBody(requestId);
    const named = command === undefined ? {} : { command: command.slice(0, 64).toWellFormed() };
    this.#tell(() =>
      reply === undefined ? this.#outlet.tellError({ ...body, ...named }) : reply.refuse(body)
    );
    if (TRIES_PATIENCE.has(told.code)) this.losePatience();
  }

  /** What came is no command. */
  refuse(bad: unknown, reply?: Reply): void {
    this.tellError(reply, bad);
    this.losePatience();
  }

  /** Something so long has come. True if that was too much. */
  weigh(chars: number): boolean {
    return chars > LARGE_CHARS && this.losePatience(Math.min(LARGE_COST_MAX, chars / LARGE_CHARS));
  }

  /** True if that was the last of it. */
  losePatience(cost = 1): boolean {
    const isLast = this.#patience.take(cost) > 0;
    if (isLast) this.close("too_much");
    return isLast;
  }

  /** By way of the connection, which remembers why. */
  close(reason: CloseReason): void {
    if (this.#live === undefined) this.#outlet.closeFor(reason);
    else this.#live.connection.close(reason);
  }

  /** The client is gone: what has not begun is forgotten. */
  end(): void {
    this.#lane.clear();
    this.#live?.end();
  }

  #isUnread(): boolean {
    return this.#outlet.queuedBytes() > SEND_QUEUE_BYTES_MAX;
  }

  /** One answer may be of any size; who asks on and does not read is closed. */
  #tell(say: () => void): void {
    if (this.#isUnread()) this.close("slow_consumer");
    else say();
  }
}
