/**
 * The link to Redis: session after session, for as long as the node lives, over TCP or over Upstash's REST. Nothing
 * here is on the path of an answer.
 */
import type { Log } from "../log.ts";
import type { ChannelListener, OpenSession, RedisScript, RedisSession } from "./redis_session.ts";

/** A session that lived so long was none of a row that fails. */
const STEADY_MS = 2_000;

export interface RedisLinkInit {
  open: OpenSession;
  /** Between attempts; the first wait is `minMs`, each next one twice that. */
  retry: { minMs: number; maxMs: number };
  prefix: string;
  nodeId: string;
  log: Log;
}

export class RedisLink implements AsyncDisposable {
  readonly #init: RedisLinkInit;
  readonly #listeners = new Set<(payload: string, channel: string) => void>();
  readonly #onUp = new Set<(session: RedisSession) => Promise<void> | void>();
  readonly #onDown = new Set<() => void>();
  #session: RedisSession | undefined;
  #opening: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #upAt = 0;
  #wasUp = true;
  #attempt = 0;
  #ended = false;

  constructor(init: RedisLinkInit) {
    this.#init = init;
  }

  /** Undefined while Redis is out of reach. */
  get session(): RedisSession | undefined {
    return this.#session;
  }

  channelOf(topic: string): string {
    return this.#init.prefix + topic;
  }

  topicOf(channel: string): string {
    return channel.slice(this.#init.prefix.length);
  }

  onMessage(listener: ChannelListener): void {
    this.#listeners.add(listener);
  }

  /** Runs for every session before it counts as up; what it throws ends the session. */
  onUp(work: (session: RedisSession) => Promise<void> | void): void {
    this.#onUp.add(work);
  }

  /** Runs when a session ends after which Redis is out of reach. */
  onDown(work: () => void): void {
    this.#onDown.add(work);
  }

  /** Settles after the first attempt, whether it worked or not. */
  start(): Promise<void> {
    return this.#open();
  }

  async run(script: RedisScript, keys: string[], args: string[]): Promise<unknown> {
    if (this.#session === undefined) throw new Error("Redis is out of reach");
    return await this.#session.run(script, keys, args);
  }

  #open(): Promise<void> {
    this.#opening = this.#tryOpen();
    return this.#opening;
  }

  async #tryOpen(): Promise<void> {
    let session: RedisSession | undefined;
    let isLost = false;
    const lost = (fault: unknown): void => {
      isLost = true;
      if (session !== undefined && this.#session === session) this.#lose(fault);
    };
    try {
      session = await this.#init.open({
        listener: (payload, channel) => {
          for (const listener of this.#listeners) listener(payload, channel);
        },
        beatChannel: (i) => this.channelOf(`beat:${i}:${this.#init.nodeId}`),
        onLost: lost,
      });
      if (this.#ended) return session.end();
      for (const work of this.#onUp) await work(session);
      if (isLost || this.#ended) throw new Error("The connection to Redis was lost again");
      this.#session = session;
      this.#upAt = performance.now();
      if (!this.#wasUp) this.#init.log.info("redis.up");
      this.#wasUp = true;
    } catch (fault) {
      session?.end();
      this.#tellDown(fault);
      this.#openLater();
    }
  }

  #lose(fault: unknown): void {
    if (performance.now() - this.#upAt > STEADY_MS) this.#attempt = 0;
    this.#session?.end();
    this.#session = undefined;
    this.#tellDown(fault);
    this.#openLater();
  }

  #tellDown(fault: unknown): void {
    if (!this.#wasUp || this.#ended) return;
    this.#wasUp = false;
    this.#init.log.warn("redis.down", { text: fault instanceof Error ? fault.message : String(fault) });
    for (const work of this.#onDown) work();
  }

  #openLater(): void {
    if (this.#ended) return;
    const { minMs, maxMs } = this.#init.retry;
    const waitMs = Math.min(maxMs, minMs * 2 ** this.#attempt++) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => void this.#open(), waitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#session?.end();
    this.#session = undefined;
    await this.#opening;
    clearTimeout(this.#timer);
  }
}
