/**
 * The bus over Redis: a channel for each topic that this node listens to. While Redis is away nothing waits for it:
 * publications are dropped, of each topic the last is kept for when it is back, and readers are told to compare.
 */
import type { Bus, Listener } from "./bus.ts";
import type { RedisLink } from "./redis_link.ts";
import type { RedisSession } from "./redis_session.ts";

/** How long whoever subscribes waits for Redis. What is published meanwhile is found by comparing. */
const SUBSCRIBE_MS = 250;
const IN_FLIGHT_MAX = 5_000;
const IN_FLIGHT_CHARS_MAX = 32 * 1024 * 1024;
/** Topics whose last publication was dropped and is kept. */
const KEPT_MAX = 5_000;
const KEPT_CHARS_MAX = 16 * 1024 * 1024;
/** After Redis is back, until what was kept is sent: other nodes come back within that too. */
const RESEND_MS = 600;

export class RedisBus implements Bus {
  readonly kind: "redis" | "upstash";
  readonly #link: RedisLink;
  readonly #listeners = new Map<string, Listener>();
  readonly #kept = new Map<string, string>();
  #keptChars = 0;
  #inFlight = 0;
  #inFlightChars = 0;
  #dropped = 0;
  #isEnded = false;
  #resending: ReturnType<typeof setTimeout> | undefined;
  #onGap: (topics: readonly string[] | undefined) => void = () => {};

  /** The link has not started yet. */
  constructor(link: RedisLink, kind: "redis" | "upstash") {
    this.#link = link;
    this.kind = kind;
    link.onMessage((payload, channel) => this.#listeners.get(link.topicOf(channel))?.(payload));
    link.onUp((session) => this.#resume(session));
    link.onDown(() => this.#onGap(undefined));
  }

  get isUp(): boolean {
    return this.#link.session !== undefined;
  }

  /** Publications that were not sent so far. */
  get dropped(): number {
    return this.#dropped;
  }

  onGap(listener: (topics: readonly string[] | undefined) => void): void {
    this.#onGap = listener;
  }

  async subscribe(topic: string, listener: Listener): Promise<void> {
    this.#listeners.set(topic, listener);
    const { session } = this.#link;
    if (session === undefined) return; // the next one subscribes to all, and tells of the gap
    let isLate = false;
    const subscribed = session.subscribe([this.#link.channelOf(topic)]).then(
      () => void (isLate && this.#onGap([topic])),
      () => {}, // the session has ended
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        isLate = true;
        resolve();
      }, SUBSCRIBE_MS);
    });
    await Promise.race([subscribed, patience]);
    clearTimeout(timer);
  }

  unsubscribe(topic: string): void {
    if (!this.#listeners.delete(topic)) return;
    this.#link.session?.unsubscribe(this.#link.channelOf(topic)).catch(() => {}); // the session has ended
  }

  publish(topic: string, payload: string, { fleeting = false } = {}): void {
    const { session } = this.#link;
    const isFull = this.#inFlight >= IN_FLIGHT_MAX ||
      this.#inFlightChars + payload.length > IN_FLIGHT_CHARS_MAX;
    if (session === undefined || isFull) return this.#drop(topic, payload, fleeting);
    this.#inFlight++;
    this.#inFlightChars += payload.length;
    session.publish(this.#link.channelOf(topic), payload).catch(() => this.#drop(topic, payload, fleeting))
      .finally(
        () => {
          this.#inFlight--;
          this.#inFlightChars -= payload.length;
        },
      );
  }

  #drop(topic: string, payload: string, fleeting: boolean): void {
    this.#dropped++;
    if (fleeting) return;
    this.#forget(topic);
    this.#kept.set(topic, payload);
    this.#keptChars += payload.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX && this.#keptChars <= KEPT_CHARS_MAX) break;
      this.#forget(oldest);
    }
  }

  #forget(topic: string): void {
    this.#keptChars -= this.#kept.get(topic)?.length ?? 0;
    this.#kept.delete(topic);
  }

  /** A new session: it hears all topics again, and what came meanwhile is to be looked for. */
  async #resume(session: RedisSession): Promise<void> {
    const subscribed = new Set<string>();
    // topics that come up while it subscribes have no session yet to be subscribed to
    for (let left = [...this.#listeners.keys()]; left.length > 0;) {
      await session.subscribe(left.map((topic) => this.#link.channelOf(topic)));
      for (const topic of left) subscribed.add(topic);
      left = [...this.#listeners.keys()].filter((topic) => !subscribed.has(topic));
    }
    if (this.#isEnded) return;
    setTimeout(() => this.#onGap(undefined), 0);
    clearTimeout(this.#resending);
    this.#resending = setTimeout(() => this.#resend(), RESEND_MS);
  }

  #resend(): void {
    if (!this.isUp) return; // after the next session
    const kept = [...this.#kept];
    for (const [topic] of kept) this.#forget(topic);
    for (const [topic, payload] of kept) this.publish(topic, payload);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    clearTimeout(this.#resending);
    this.#listeners.clear();
    this.#kept.clear();
    return Promise.resolve();
  }
}
