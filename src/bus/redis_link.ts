/**
 * The link to Redis: session after session, for as long as the node lives. A heartbeat of our own goes out by one
 * connection and has to come in by the other: a subscription that is dead without an error is noticed like any other
 * fault. Nothing here is on the path of an answer.
 */
import type { Log } from "../log.ts";
import { type ChannelListener, openSession, type RedisScript, type RedisSession } from "./redis_session.ts";

const BEAT_MS = 1_000;
/** So many, on as many channels: of a cluster each may be on another node. */
const BEATS = 4;
const SILENCE_MS = 4_000;
const RETRY_MS_MAX = 500;

export interface RedisLinkInit {
  url: string;
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
  #beatAt: number[] = [];
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
      session = await openSession({
        url: this.#init.url,
        listener: (payload, channel) => this.#heard(payload, channel),
        onLost: lost,
      });
      if (this.#ended) return session.end();
      await session.subscribe(this.#beatChannels());
      for (const work of this.#onUp) await work(session);
      if (isLost || this.#ended) throw new Error("The connection to Redis was lost again");
      this.#session = session;
      this.#attempt = 0;
      this.#beatAt = new Array(BEATS).fill(performance.now());
      if (!this.#wasUp) this.#init.log.info("redis.up");
      this.#wasUp = true;
      this.#timer = setTimeout(() => this.#beat(), BEAT_MS);
    } catch (fault) {
      session?.end();
      this.#tellDown(fault);
      this.#openLater();
    }
  }

  #beatChannels(): string[] {
    return Array.from({ length: BEATS }, (_, i) => this.channelOf(`beat:${i}:${this.#init.nodeId}`));
  }

  #heard(payload: string, channel: string): void {
    const [kind, index] = this.topicOf(channel).split(":", 2);
    if (kind === "beat") this.#beatAt[Number(index)] = performance.now();
    else for (const listener of this.#listeners) listener(payload, channel);
  }

  #beat(): void {
    if (Math.min(...this.#beatAt) < performance.now() - SILENCE_MS) {
      return this.#lose(new Error(`Nothing came through Redis for ${SILENCE_MS} ms`));
    }
    for (const channel of this.#beatChannels()) {
      this.#session?.publish(channel, "").catch(() => {}); // told by the session's end, or by its silence
    }
    this.#timer = setTimeout(() => this.#beat(), BEAT_MS);
  }

  /** Also when what is said over the session fails in a way that it does not notice itself. */
  #lose(fault: unknown): void {
    clearTimeout(this.#timer);
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
    const waitMs = Math.min(RETRY_MS_MAX, 25 * 2 ** this.#attempt++) * (0.5 + Math.random() / 2);
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
