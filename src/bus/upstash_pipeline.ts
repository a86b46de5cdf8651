/**
 * What goes to Upstash: scripts and publications, in the order of the calls, one request at a time. A lone one goes at
 * once; what comes within a short window, or while a request is under way, goes together in the next. Publications of
 * one topic become one command: Upstash bills by commands. Nothing is tried again; a request that fails ends the session.
 */
import { Redis } from "@upstash/redis";
import type { RedisScript } from "./redis_session.ts";
import { TIMEOUT_MS } from "./upstash_fault.ts";

const WINDOW_MS = 8;
const AT_ONCE_MAX = 500;
/** A request may have 10 MB. */
const CHARS_AT_ONCE_MAX = 512 * 1024;
const QUEUE_MAX = 20_000;

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (fault: Error) => void;
}
interface Publication extends Waiting {
  is: "publication";
  topic: string;
  channel: string;
  payload: string;
}
interface Run extends Waiting {
  is: "run";
  script: RedisScript;
  keys: string[];
  args: string[];
  /** Upstash does not know the script by its digest. */
  isUnknown: boolean;
}
type Entry = Publication | Run;

export interface UpstashAddress {
  url: string;
  token: string;
}

export class UpstashPipeline {
  readonly #redis: Redis;
  readonly #onLost: (fault: unknown) => void;
  readonly #queue: Entry[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isBusy = false;
  #abort = new AbortController();
  #sentAt = -Infinity;
  #ended: Error | undefined;

  constructor({ url, token }: UpstashAddress, onLost: (fault: unknown) => void) {
    this.#redis = new Redis({
      url,
      token,
      retry: { retries: 0 },
      signal: () => this.#abort.signal,
      responseEncoding: false,
      automaticDeserialization: false,
      enableAutoPipelining: false,
      enableTelemetry: false,
    });
    this.#onLost = onLost;
  }

  /** The payload for the listeners of a channel, by way of a topic that many channels share. */
  publish(topic: string, channel: string, payload: string): Promise<unknown> {
    return this.#add((waiting) => ({ is: "publication", topic, channel, payload, ...waiting }));
  }

  run(script: RedisScript, keys: string[], args: string[]): Promise<unknown> {
    return this.#add((waiting) => ({ is: "run", script, keys, args, isUnknown: false, ...waiting }));
  }

  end(): void {
    this.#ended = new Error("The session with Upstash has ended");
    this.#abort.abort();
    clearTimeout(this.#timer);
    for (const { reject } of this.#queue.splice(0)) reject(this.#ended);
  }

  #add(toEntry: (waiting: Waiting) => Entry): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#queue.length >= QUEUE_MAX) return Promise.reject(new Error("Too much waits for Upstash"));
    return new Promise((resolve, reject) => {
      this.#queue.push(toEntry({ resolve, reject }));
      this.#sendSoon();
    });
  }

  #sendSoon(): void {
    if (this.#isBusy || this.#timer !== undefined || this.#queue.length === 0) return;
    if (this.#ended !== undefined) return this.end();
    const waitMs = Math.max(0, this.#sentAt + WINDOW_MS - performance.now());
    this.#timer = setTimeout(() => void this.#send(), waitMs);
  }

  async #send(): Promise<void> {
    this.#timer = undefined;
    this.#isBusy = true;
    this.#sentAt = performance.now();
    this.#abort = new AbortController();
    const timer = setTimeout(
      () => this.#abort.abort(new DOMException("No answer", "TimeoutError")),
      TIMEOUT_MS,
    );
    const entries = this.#take();
    try {
      await this.#request(entries);
    } catch (fault) {
      const isTooLarge = fault instanceof Error && fault.message.includes("max request size");
      if (!isTooLarge && this.#ended === undefined) this.#onLost(fault);
      for (const { reject } of entries) reject(new Error("A request to Upstash failed"));
    }
    clearTimeout(timer);
    this.#isBusy = false;
    this.#sendSoon();
  }

  #take(): Entry[] {
    let count = 0;
    for (let chars = 0; count < Math.min(AT_ONCE_MAX, this.#queue.length); count++) {
      const entry = this.#queue[count];
      chars += entry?.is === "publication" ? entry.payload.length : 1_000;
      if (count > 0 && chars > CHARS_AT_ONCE_MAX) break;
    }
    return this.#queue.splice(0, count);
  }

  async #request(entries: readonly Entry[]): Promise<void> {
    const pipeline = this.#redis.pipeline();
    const commands: Entry[][] = [];
    for (const entry of entries) {
      if (entry.is !== "run") continue;
      if (entry.isUnknown) pipeline.eval(entry.script.text, entry.keys, entry.args);
      else pipeline.evalsha(entry.script.sha, entry.keys, entry.args);
      commands.push([entry]);
    }
    const publications = entries.filter((entry) => entry.is === "publication");
    for (const [topic, group] of Map.groupBy(publications, ({ topic }) => topic)) {
      pipeline.publish(topic, toText(group));
      commands.push(group);
    }
    const results = await pipeline.exec<unknown[]>({ keepErrors: true });
    const unknown: Run[] = [];
    commands.forEach((group, i) => {
      const { result, error } = results[i] ?? { result: undefined, error: "no answer" };
      for (const entry of group) {
        if (error === undefined || error === null) entry.resolve(result);
        else if (entry.is === "run" && !entry.isUnknown && error.startsWith("NOSCRIPT")) unknown.push(entry);
        else entry.reject(new Error(error));
      }
    });
    for (const run of unknown) run.isUnknown = true;
    if (this.#ended !== undefined) { for (const { reject } of unknown) reject(this.#ended); }
    else this.#queue.unshift(...unknown); // before what was asked for later
  }
}

/** One line: server-sent events end with it. */
function toText(publications: readonly Publication[]): string {
  return JSON.stringify(publications.flatMap(({ channel, payload }) => [channel, payload]));
}

/** Publications as `toText` wrote them; of anything else none. */
export function* readPublications(text: string): Generator<[channel: string, payload: string]> {
  let items: unknown;
  try {
    items = JSON.parse(text);
  } catch {
    return;
  }
  if (!Array.isArray(items)) return;
  for (let i = 0; i + 1 < items.length; i += 2) {
    const [channel, payload] = [items[i], items[i + 1]];
    if (typeof channel === "string" && typeof payload === "string") yield [channel, payload];
  }
}
