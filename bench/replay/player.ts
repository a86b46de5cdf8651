/**
 * A player: one nick of one room, as a user with a socket of its own. Its steps begin in the order given. Messages are
 * sent without waiting for each other's acks; joins and leaves wait for all that was sent before them.
 * A step never rejects: what goes wrong is a fault of the report.
 */
import { performance } from "node:perf_hooks";
import type { Message } from "../../src/protocol/models.ts";
import type { Door, Link } from "./door.ts";
import type { FaultList } from "./faults.ts";
import { Hearing, type JoinAnswer, type MessagePool } from "./hearing.ts";
import { describe, Refusal, retrying } from "./refusal.ts";
import type { Sent } from "./sent_check.ts";
import type { TokenFor } from "./tokens.ts";
import { Window } from "./window.ts";

const IN_FLIGHT_MAX = 32;
const LEFT_WITHIN_MS = 15_000;

/** A message on its way. */
export interface Sending extends Sent {
  readonly parent: Sending | undefined;
  /** Resolves once it is acknowledged, or given up. */
  readonly settled: PromiseWithResolvers<void>;
  firstTriedAt: number;
}

export type Task = { is: "join" } | { is: "leave" } | { is: "say"; sending: Sending };

export interface PlayerUses {
  roomId: string;
  door: Door;
  tokenFor: TokenFor;
  pool: MessagePool;
  faults: FaultList;
  onAck: (sending: Sending) => void;
  onMessage: (message: Message) => void;
  onRetry: (code: string) => void;
}

export class Player {
  readonly hearings: Hearing[] = [];
  readonly #nick: string;
  readonly #userId: string;
  readonly #uses: PlayerUses;
  readonly #window = new Window(IN_FLIGHT_MAX);
  readonly #inFlight = new Set<Promise<void>>();
  #begun: Promise<void> = Promise.resolve();
  #link: Link | undefined;
  #closed = false;

  constructor(nick: string, userId: string, uses: PlayerUses) {
    this.#nick = nick;
    this.#userId = userId;
    this.#uses = uses;
  }

  /** The hearing that goes on, if the nick is in the room. */
  get present(): Hearing | undefined {
    return this.#link === undefined ? undefined : this.hearings.at(-1);
  }

  /** Resolves when the step is over: for a message, when it is acknowledged. */
  async play(task: Task): Promise<void> {
    const begun = this.#begun.then(() => this.#begin(task));
    this.#begun = begun.then(() => {});
    const { over } = await begun;
    await over;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#link?.close();
    await this.#begun;
    await Promise.all(this.#inFlight);
  }

  /** In an object, or `then` would wait for the end as well. */
  async #begin(task: Task): Promise<{ over: Promise<void> | undefined }> {
    if (task.is === "say") return await this.#say(task.sending);
    await Promise.all(this.#inFlight);
    if (this.#closed) return { over: undefined };
    try {
      if (task.is === "join") await this.#join();
      else await this.#leave();
    } catch (fault) {
      this.#uses.faults.add("refused", `${this.#nick}: ${task.is}: ${describe(fault)}`);
    }
    return { over: undefined };
  }

  async #join(): Promise<void> {
    const { door, tokenFor, roomId, pool, faults, onRetry } = this.#uses;
    const hearing = new Hearing({ nick: this.#nick, userId: this.#userId, roomId }, pool);
    const link = await retrying(async () => {
      const token = await tokenFor(this.#userId, this.#nick);
      return await door.connect(token, {
        push: (event, data) => this.#heard(hearing, event, data),
        closed: (reason) => faults.add("disconnected", `${this.#nick}: ${reason}`),
      });
    }, onRetry);
    if (this.#closed) return await link.close();
    if (link.userId !== this.#userId) {
      faults.add("different", `${this.#nick}: connected as ${link.userId}, not ${this.#userId}`);
    }
    this.#link = link;
    this.hearings.push(hearing);
    const answer = await retrying(() => link.call("join_room", { roomId }), onRetry);
    hearing.begin(answer as JoinAnswer);
  }

  async #leave(): Promise<void> {
    const { roomId, faults, onRetry } = this.#uses;
    const link = this.#linked();
    const { promise: late, resolve } = Promise.withResolvers<"late">();
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await retrying(() => link.call("leave_room", { roomId, membership: true }), onRetry);
      timer = setTimeout(() => resolve("late"), LEFT_WITHIN_MS);
      if (await Promise.race([this.hearings.at(-1)?.left, late]) === "late") {
        faults.add("missed", `${this.#nick}: user_left of its own leave`);
      }
    } finally {
      clearTimeout(timer);
      this.#link = undefined;
      await link.close();
    }
  }

  /** Resolves when the message is on its way. */
  async #say(sending: Sending): Promise<{ over: Promise<void> }> {
    await sending.parent?.settled.promise;
    sending.replyToId = sending.parent?.acked?.id;
    const exit = await this.#window.enter();
    const sent: Promise<void> = this.#send(sending).finally(() => {
      exit();
      sending.settled.resolve();
      this.#inFlight.delete(sent);
    });
    this.#inFlight.add(sent);
    return { over: sent };
  }

  async #send(sending: Sending): Promise<void> {
    const { roomId, pool, faults, onAck, onRetry } = this.#uses;
    const { content, clientMessageId, replyToId } = sending;
    const data = { roomId, content, clientMessageId, ...(replyToId === undefined ? {} : { replyToId }) };
    try {
      const link = this.#linked();
      sending.firstTriedAt = performance.now();
      const answer = await retrying(() => {
        sending.tries++;
        return link.call("send_message", data);
      }, onRetry);
      sending.acked = pool.share((answer as { message: Message }).message);
      onAck(sending);
    } catch (fault) {
      faults.add("refused", `${this.#nick}: line ${sending.line + 1}: ${describe(fault)}`);
    }
  }

  #linked(): Link {
    if (this.#link === undefined) throw new Refusal("closed", "Not connected");
    return this.#link;
  }

  #heard(hearing: Hearing, event: string, data: Readonly<Record<string, unknown>>): void {
    if (event === "error") {
      this.#uses.faults.add("refused", `${this.#nick}: error: ${JSON.stringify(data)}`);
    } else if (event === "token_expiring") {
      void this.#renew();
    } else {
      const message = hearing.record(event, data);
      if (message !== undefined) this.#uses.onMessage(message);
    }
  }

  async #renew(): Promise<void> {
    try {
      const token = await this.#uses.tokenFor(this.#userId, this.#nick);
      await this.#link?.call("authenticate", { token });
    } catch (fault) {
      if (!this.#closed) this.#uses.faults.add("refused", `${this.#nick}: authenticate: ${describe(fault)}`);
    }
  }
}
