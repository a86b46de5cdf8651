/**
 * The play of one room: a script through a running server, then the checks. Steps begin in the script's order, a
 * bounded number at once. The room's creator listens from the start to the end, so it must hear everything.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { untilAborted } from "./abort.ts";
import type { Message } from "../../src/protocol/models.ts";
import { ROOM_NAME_MAX } from "../../src/protocol/limits.ts";
import type { Door } from "./door.ts";
import { FaultList } from "./faults.ts";
import { HearingCheck, type History } from "./hearing_check.ts";
import { MessagePool } from "./hearing.ts";
import { readHistory, readSearch } from "./history_reader.ts";
import { percentilesOf } from "./percentiles.ts";
import { Player, type PlayerUses, type Sending } from "./player.ts";
import { describe } from "./refusal.ts";
import { rate, type RoomResult } from "./report.ts";
import { Rest } from "./rest.ts";
import type { Script, Step } from "./script.ts";
import { checkSearch, pickWords } from "./search_check.ts";
import { checkSent } from "./sent_check.ts";
import type { TokenFor } from "./tokens.ts";
import type { Window } from "./window.ts";

/** Without any news for so long, what has not come will not come. */
const SETTLE_MS = 15_000;

export interface RoomPlayOptions {
  /** Names this play among all that the server has seen. */
  run: string;
  serverUrl: string;
  door: Door;
  tokenFor: TokenFor;
  speed: number | undefined;
  searches: number;
  /** How many steps may be under way at once, of all rooms. */
  window: Window;
  signal: AbortSignal;
  /** Called after each step. */
  onStep: () => void;
}

export async function playRoom(script: Script, options: RoomPlayOptions): Promise<RoomResult> {
  const room = new RoomPlay(script, options);
  return await room.play();
}

class RoomPlay {
  readonly #script: Script;
  readonly #options: RoomPlayOptions;
  readonly #faults = new FaultList();
  readonly #players = new Map<string, Player>();
  readonly #sendings = new Map<number, Sending>();
  readonly #retries: Record<string, number> = {};
  readonly #ackMs: number[] = [];
  readonly #deliveryMs: number[] = [];

  constructor(script: Script, options: RoomPlayOptions) {
    this.#script = script;
    this.#options = options;
  }

  async play(): Promise<RoomResult> {
    const { signal, run } = this.#options;
    const roomId = await this.#createRoom();
    const uses = this.#playerUses(roomId);
    const creator = new Player("replay", this.#creatorId, uses);
    const players = (): Player[] => [creator, ...this.#players.values()];
    try {
      await creator.play({ is: "join" });
      const startedAt = performance.now();
      await untilAborted(signal, this.#playSteps(run, uses));
      const playedS = secondsSince(startedAt);
      const rest = this.#rest();
      const history = await this.#history(rest, roomId);
      if (history !== undefined) await untilAborted(signal, this.#settle(players(), history.lastSeq));
      const deliveredS = secondsSince(startedAt);
      await Promise.all(players().map((player) => player.close()));
      if (history !== undefined) this.#check(players(), history);
      const messages = history?.messages ?? [];
      const searches = await this.#search(rest, roomId, messages);
      const hearings = players().reduce((sum, player) => sum + player.hearings.length, 0);
      return this.#result({ roomId, playedS, deliveredS, hearings, searches, history: messages.length });
    } finally {
      await Promise.all(players().map((player) => player.close()));
    }
  }

  get #creatorId(): string {
    return `${this.#options.run}/replay`;
  }

  #rest(): Rest {
    const { serverUrl, tokenFor } = this.#options;
    return new Rest(serverUrl, () => tokenFor(this.#creatorId, "replay"), (code) => this.#retried(code));
  }

  async #createRoom(): Promise<string> {
    const ask = {
      name: this.#script.name.slice(0, ROOM_NAME_MAX),
      type: "PUBLIC",
      description: `Replay ${this.#options.run}`,
    };
    const { room } = await this.#rest().post<{ room: { id: string } }>("/rooms", ask);
    return room.id;
  }

  #playerUses(roomId: string): PlayerUses {
    return {
      roomId,
      door: this.#options.door,
      tokenFor: this.#options.tokenFor,
      pool: new MessagePool(),
      faults: this.#faults,
      onAck: (sending) => this.#ackMs.push(performance.now() - sending.firstTriedAt),
      onMessage: ({ clientMessageId }) => {
        const sending = this.#sendings.get(lineOf(clientMessageId));
        if (sending !== undefined) this.#deliveryMs.push(performance.now() - sending.firstTriedAt);
      },
      onRetry: (code) => this.#retried(code),
    };
  }

  #retried(code: string): void {
    this.#retries[code] = (this.#retries[code] ?? 0) + 1;
  }

  async #playSteps(run: string, uses: PlayerUses): Promise<void> {
    const { speed, window, signal, onStep } = this.#options;
    const startedAt = performance.now();
    const underWay: Promise<void>[] = [];
    for (const step of this.#script.steps) {
      if (speed !== undefined) {
        const early = step.atMs / speed - (performance.now() - startedAt);
        if (early > 1) await sleep(early, undefined, { signal });
      }
      const exit = await window.enter();
      if (signal.aborted) return;
      underWay.push(
        this.#playStep(run, step, uses).finally(() => {
          exit();
          onStep();
        }),
      );
    }
    await Promise.all(underWay);
  }

  #playStep(run: string, step: Step, uses: PlayerUses): Promise<void> {
    const userId = `${run}:${step.nick}`;
    const player = this.#players.get(step.nick) ?? new Player(step.nick, userId, uses);
    this.#players.set(step.nick, player);
    if (step.is !== "say") return player.play({ is: step.is });
    const { line, nick, content, parent } = step;
    const sending: Sending = {
      line,
      nick,
      userId,
      content,
      clientMessageId: clientMessageIdOf(run, line),
      parent: parent === undefined ? undefined : this.#sendings.get(parent),
      settled: Promise.withResolvers<void>(),
      replyToId: undefined,
      tries: 0,
      firstTriedAt: 0,
      acked: undefined,
    };
    this.#sendings.set(line, sending);
    return player.play({ is: "say", sending });
  }

  /** Undefined if it cannot be read: a fault, and nothing can be checked against it. */
  async #history(rest: Rest, roomId: string): Promise<History | undefined> {
    try {
      const { history, faults } = await readHistory(rest, roomId);
      this.#faults.addAll(faults);
      return history;
    } catch (fault) {
      this.#faults.add("history", `it cannot be read: ${describe(fault)}`);
      return undefined;
    }
  }

  /** Waits until all who are present know of everything, or nothing has come for a while. */
  async #settle(players: readonly Player[], lastSeq: number): Promise<void> {
    const behind = (): boolean =>
      players.some(({ present }) => present?.from !== undefined && present.position < lastSeq);
    let newsAt = performance.now();
    for (let heard = -1; behind() && performance.now() - newsAt < SETTLE_MS;) {
      if (heard !== this.#deliveryMs.length) newsAt = performance.now();
      heard = this.#deliveryMs.length;
      await sleep(10, undefined, { signal: this.#options.signal });
    }
  }

  #check(players: readonly Player[], history: History): void {
    const check = new HearingCheck(history);
    for (const { hearings } of players) {
      for (const hearing of hearings) this.#faults.addAll(check.check(hearing));
    }
    this.#faults.addAll(checkSent([...this.#sendings.values()], history.messages));
  }

  async #search(rest: Rest, roomId: string, history: readonly Message[]): Promise<number> {
    const words = pickWords(history, this.#options.searches);
    for (const word of words) {
      this.#options.signal.throwIfAborted();
      try {
        this.#faults.addAll(checkSearch(word, await readSearch(rest, roomId, word), history));
      } catch (fault) {
        this.#faults.add("refused", `the search for "${word}": ${describe(fault)}`);
      }
    }
    return words.length;
  }

  #result(
    found: {
      roomId: string;
      playedS: number;
      deliveredS: number;
      hearings: number;
      searches: number;
      history: number;
    },
  ): RoomResult {
    const acknowledged = this.#ackMs.length;
    const deliveries = this.#deliveryMs.length;
    const report = {
      name: this.#script.name,
      ...found,
      script: this.#script.counts,
      acknowledged,
      deliveries,
      retries: this.#retries,
      messagesPerS: rate(acknowledged, found.playedS),
      deliveriesPerS: rate(deliveries, found.deliveredS),
      ackMs: percentilesOf(this.#ackMs),
      deliveryMs: percentilesOf(this.#deliveryMs),
      faults: this.#faults.counts,
      faultCount: this.#faults.total,
      faultDetails: this.#faults.details,
    };
    return { report, ackMs: this.#ackMs, deliveryMs: this.#deliveryMs };
  }
}

const clientMessageIdOf = (run: string, line: number): string => `${run}-${line}`;
const lineOf = (clientMessageId: string): number =>
  Number(clientMessageId.slice(clientMessageId.lastIndexOf("-") + 1));
const secondsSince = (at: number): number => Math.round(performance.now() - at) / 1000;
