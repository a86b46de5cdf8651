/**
 * A session with Upstash over REST, from opening to the first fault. Channels share 32 topics, by hash; a publication
 * carries its channel. Each topic that has a listener here is one response of server-sent events. Every 2 s a beat goes
 * through the next of them, and it counts as open only once the first beat has come in.
 */
import { Heartbeat } from "./heartbeat.ts";
import {
  onceOf,
  type OpenSession,
  type RedisScript,
  type RedisSession,
  type SessionInit,
} from "./redis_session.ts";
import { TIMEOUT_MS, upstashFault } from "./upstash_fault.ts";
import { readPublications, type UpstashAddress, UpstashPipeline } from "./upstash_pipeline.ts";
import { UpstashStream } from "./upstash_stream.ts";

export const TOPICS = 32;
const BEAT_MS = 2_000;
const SILENCE_MS = TIMEOUT_MS;

export interface UpstashInit extends UpstashAddress {
  prefix: string;
}

/** Sessions with the database at this address. They reject while it is out of reach. */
export const upstashSessions = (address: UpstashInit): OpenSession => async (init) => {
  const session = new UpstashSession(address, init);
  try {
    await session.open();
    return session;
  } catch (fault) {
    session.end();
    throw upstashFault(fault, address.token);
  }
};

interface Hearing {
  channels: Set<string>;
  stream: UpstashStream;
}

class UpstashSession implements RedisSession {
  readonly #address: UpstashInit;
  readonly #init: SessionInit;
  readonly #once: ReturnType<typeof onceOf>;
  readonly #pipeline: UpstashPipeline;
  readonly #heartbeat: Heartbeat;
  readonly #beatChannel: string;
  readonly #hearings = new Map<string, Hearing>();
  readonly #firstBeat = Promise.withResolvers<void>();
  #turn = 0;

  constructor(address: UpstashInit, init: SessionInit) {
    this.#address = address;
    this.#init = init;
    this.#once = onceOf((fault) => {
      this.#firstBeat.reject(fault);
      init.onLost(upstashFault(fault, address.token));
    });
    this.#firstBeat.promise.catch(() => {}); // also told by onLost
    this.#pipeline = new UpstashPipeline(address, this.#once.tell);
    this.#beatChannel = init.beatChannel(0);
    this.#heartbeat = new Heartbeat({
      everyMs: BEAT_MS,
      silenceMs: SILENCE_MS,
      next: () => this.#nextTopic(),
      send: (topic) => this.#beat(topic),
      onSilence: this.#once.tell,
    });
  }

  async open(): Promise<void> {
    await this.subscribe([this.#beatChannel]);
    const timer = setTimeout(
      () => this.#firstBeat.reject(new Error("The first heartbeat did not come")),
      SILENCE_MS,
    );
    try {
      await Promise.all([this.#beat(this.#topicOf(this.#beatChannel)), this.#firstBeat.promise]);
    } finally {
      clearTimeout(timer);
    }
    this.#heartbeat.start();
  }

  publish(channel: string, payload: string): Promise<unknown> {
    return this.#pipeline.publish(this.#topicOf(channel), channel, payload);
  }

  run(script: RedisScript, keys: string[], args: string[]): Promise<unknown> {
    return this.#pipeline.run(script, keys, args);
  }

  async subscribe(channels: readonly string[]): Promise<void> {
    const opened = new Set<Promise<void>>();
    for (const channel of channels) {
      const topic = this.#topicOf(channel);
      const hearing = this.#hearings.get(topic) ?? this.#hear(topic);
      hearing.channels.add(channel);
      opened.add(hearing.stream.opened);
    }
    await Promise.all(opened);
  }

  unsubscribe(channel: string): Promise<void> {
    const topic = this.#topicOf(channel);
    const hearing = this.#hearings.get(topic);
    hearing?.channels.delete(channel);
    if (hearing?.channels.size === 0) {
      this.#hearings.delete(topic);
      this.#heartbeat.forget(topic);
      hearing.stream.close();
    }
    return Promise.resolve();
  }

  end(): void {
    this.#once.silence();
    this.#heartbeat.stop();
    this.#pipeline.end();
    for (const { stream } of this.#hearings.values()) stream.close();
    this.#hearings.clear();
  }

  #topicOf(channel: string): string {
    return `${this.#address.prefix}topic:${hashOf(channel) % TOPICS}`;
  }

  #hear(topic: string): Hearing {
    const { url, token } = this.#address;
    const onText = (text: string): void => this.#heard(topic, text);
    const stream = new UpstashStream({ url, token, topic, onText, onEnd: this.#once.tell });
    const hearing = { channels: new Set<string>(), stream };
    this.#hearings.set(topic, hearing);
    return hearing;
  }

  #heard(topic: string, text: string): void {
    for (const [channel, payload] of readPublications(text)) {
      if (channel !== this.#beatChannel) this.#init.listener(payload, channel);
      else {
        this.#heartbeat.heard(topic);
        this.#firstBeat.resolve();
      }
    }
  }

  #beat(topic: string): Promise<unknown> {
    return this.#pipeline.publish(topic, this.#beatChannel, "");
  }

  /** They take turns: of 32, each is known to live once a minute. */
  #nextTopic(): string[] {
    const topics = [...this.#hearings.keys()];
    return topics.slice(this.#turn++ % topics.length).slice(0, 1);
  }
}

/** FNV-1a: every node has to come to the same topic. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
