/**
 * The check of a hearing against history. Between its join (from) and its leave (until) a listener must have heard
 * exactly the messages with from < seq < until: each once, in order, the same as in history, on pushes that
 * leave no hole. Pure: it sees logs, no server.
 */
import { isDeepStrictEqual } from "node:util";
import { RESET_PAGE_ROWS } from "../../src/protocol/limits.ts";
import type { Message } from "../../src/protocol/models.ts";
import type { Fault, FaultKind } from "./faults.ts";
import type { Heard, HearingLog } from "./hearing.ts";

/** A room's history in order, and the room's seq once the play was over. */
export interface History {
  readonly messages: readonly Message[];
  readonly lastSeq: number;
}

export class HearingCheck {
  readonly #history: History;
  readonly #bySeq: ReadonlyMap<number, Message>;
  /** Hearings share their message objects, so each is compared once. */
  readonly #same = new WeakMap<Message, boolean>();

  constructor(history: History) {
    this.#history = history;
    this.#bySeq = new Map(history.messages.map((message) => [message.seq, message]));
  }

  check(log: HearingLog): Fault[] {
    if (log.from === undefined) {
      return log.heard.length === 0
        ? []
        : [{ kind: "foreign", text: `${log.nick}: heard without having joined` }];
    }
    return [...this.#checkPage(log, log.from), ...this.#checkPushes(log, log.from)];
  }

  isAsInHistory(message: Message): boolean {
    const known = this.#same.get(message);
    if (known !== undefined) return known;
    const same = isDeepStrictEqual(message, this.#bySeq.get(message.seq));
    this.#same.set(message, same);
    return same;
  }

  /** The join's answer brings the newest page up to its position. Fewer than a page is right if bytes cut it. */
  #checkPage({ nick, page }: HearingLog, from: number): Fault[] {
    const earlier = this.#history.messages.filter((message) => message.seq <= from);
    const expected = page.messages.length === 0 ? [] : earlier.slice(-page.messages.length);
    const isWhole = page.messages.length >= Math.min(RESET_PAGE_ROWS, earlier.length) ||
      (page.hasMoreBefore && page.messages.length > 0);
    const faults: Fault[] = [];
    const say = (kind: FaultKind, text: string): unknown => faults.push({ kind, text: `${nick}: ${text}` });
    if (!isWhole) {
      say("missed", `joined at ${from} and was told ${page.messages.length} of ${earlier.length} messages`);
    }
    page.messages.forEach((message, i) => {
      if (message.seq !== expected[i]?.seq) {
        say("history", `joined at ${from}: message ${message.seq} where history has ${expected[i]?.seq}`);
      } else if (!this.isAsInHistory(message)) {
        say("different", `joined at ${from}: message ${message.seq} is not as in history`);
      }
    });
    return faults;
  }

  #checkPushes(log: HearingLog, from: number): Fault[] {
    const faults: Fault[] = [];
    const say = (kind: FaultKind, text: string): unknown =>
      faults.push({ kind, text: `${log.nick}: ${text}` });
    const until = log.until ?? Infinity;
    const places = new Set<number>();
    const heard = new Set<number>();
    let known = from;
    let newest = from;

    for (const push of log.heard) {
      const what = `${push.event} (${push.after}, ${push.seq}]`;
      if (push.roomId !== log.roomId) {
        say("foreign", `${what} of another room, ${push.roomId}`);
        continue;
      }
      if (push.seq > until) say("foreign", `${what} after the leave at ${until}`);
      else if (places.has(push.seq)) say("repeated", `${what} came twice`);
      else if (push.seq <= from) say("foreign", `${what} from before the join at ${from}`);
      else if (push.seq <= known) say("disordered", `${what} came after ${known}`);
      else if (push.after > known) say("hole", `${what} came when only ${known} was known`);
      places.add(push.seq);
      if (push.message !== undefined) {
        const seq = push.message.seq;
        for (const fault of this.#judge(push, push.message, newest, heard)) say(fault.kind, fault.text);
        heard.add(seq);
        newest = Math.max(newest, seq);
      }
      known = Math.max(known, push.seq);
    }

    for (const { seq } of this.#history.messages) {
      if (seq > from && seq < until && !heard.has(seq)) say("missed", `message ${seq}`);
    }
    const end = Math.min(until, this.#history.lastSeq);
    if (known < end) say("hole", `the stream ended at ${known} of ${end}`);
    return faults;
  }

  #judge(push: Heard, message: Message, newest: number, heard: ReadonlySet<number>): Fault[] {
    const { seq } = message;
    if (!this.#bySeq.has(seq)) return [{ kind: "foreign", text: `message ${seq} is not in history` }];
    if (heard.has(seq)) return [{ kind: "repeated", text: `message ${seq}` }];
    const faults: Fault[] = [];
    if (seq < newest) faults.push({ kind: "disordered", text: `message ${seq} came after ${newest}` });
    if (seq <= push.after || seq > push.seq) {
      faults.push({ kind: "disordered", text: `message ${seq} came with (${push.after}, ${push.seq}]` });
    }
    if (!this.isAsInHistory(message)) {
      faults.push({ kind: "different", text: `message ${seq} is not as in history` });
    }
    return faults;
  }
}
