/**
 * A session with Redis: one life of the connections to it, from opening to the first fault. Nothing is tried again
 * inside; whoever holds it opens the next one and then knows that publications may have been missed in between. A
 * heartbeat goes out by one connection and has to come in by the other. A server that is part of a cluster is spoken
 * to as such, with sharded publications.
 */
import { createClient, createCluster } from "@redis/client";
import { Heartbeat } from "./heartbeat.ts";

export type ChannelListener = (payload: string, channel: string) => void;

export interface RedisSession {
  publish(channel: string, payload: string): Promise<unknown>;
  /** All channels of a session have the same listener. */
  subscribe(channels: readonly string[]): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  /** A script on keys of one slot. */
  run(script: RedisScript, keys: string[], args: string[]): Promise<unknown>;
  end(): void;
}

export interface RedisScript {
  readonly text: string;
  readonly sha: string;
}

export interface SessionInit {
  /** Not of the session's own beats. */
  listener: ChannelListener;
  /** A channel of this node's own for beats. */
  beatChannel: (i: number) => string;
  /** Called once, however much goes wrong; not after `end`. */
  onLost: (fault: unknown) => void;
}

export type OpenSession = (init: SessionInit) => Promise<RedisSession>;

/** The parts that differ between a single server and a cluster. */
type Connections = Omit<RedisSession, "end"> & { close(): void };

const CONNECT_MS = 2_000;
/** Without a word from Redis, not even an answer to our pings, for so long, a connection is dead. */
const SILENCE_MS = 4_000;
const PING_MS = 1_000;
const BEAT_MS = 1_000;
/** So many, on as many channels: of a cluster each may be on another node. */
const BEATS = 4;
const CHANNELS_AT_ONCE = 500;

const socket = { connectTimeout: CONNECT_MS, socketTimeout: SILENCE_MS, reconnectStrategy: false as const };
const common = {
  pingInterval: PING_MS,
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: "disabled" as const,
};

/** Sessions with the server, or the cluster, at this address. They reject while it is out of reach. */
export const redisSessions = (url: string): OpenSession => async (init) => {
  const once = onceOf(init.onLost);
  const beats = Array.from({ length: BEATS }, (_, i) => init.beatChannel(i));
  const listener: ChannelListener = (payload, channel) =>
    beats.includes(channel) ? heartbeat.heard(channel) : init.listener(payload, channel);
  let connections: Connections | undefined;
  const heartbeat = new Heartbeat({
    everyMs: BEAT_MS,
    silenceMs: SILENCE_MS,
    next: () => beats,
    send: (channel) => connections?.publish(channel, "") ?? Promise.resolve(),
    onSilence: once.tell,
  });
  const end = (): void => {
    once.silence();
    heartbeat.stop();
    connections?.close();
  };
  try {
    connections = await connect(url, listener, once.tell);
    await connections.subscribe(beats);
    heartbeat.start();
    return { ...connections, end };
  } catch (fault) {
    end();
    throw fault;
  }
};

async function connect(url: string, listener: ChannelListener, tell: Tell): Promise<Connections> {
  const single = await openSingle(url, listener, tell);
  if (!single.isOfCluster) return single;
  single.close();
  return await openCluster(url, listener, tell);
}

export async function toScript(text: string): Promise<RedisScript> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return { text, sha: new Uint8Array(digest).toHex() };
}

type Tell = (fault: unknown) => void;

async function openSingle(
  url: string,
  listener: ChannelListener,
  tell: Tell,
): Promise<Connections & { isOfCluster: boolean }> {
  const [publisher, subscriber] = [
    createClient({ url, socket, ...common }),
    createClient({ url, socket, ...common }),
  ];
  const clients = [publisher, subscriber];
  let isClosed = false;
  const told: Tell = (fault) => {
    if (!isClosed) tell(fault);
  };
  for (const client of clients) {
    client.on("error", told).on("end", () => told(new Error("Redis closed the connection")));
  }
  const close = (): void => {
    isClosed = true;
    for (const client of clients) quietly(() => client.destroy());
  };
  try {
    await Promise.all(clients.map((client) => client.connect()));
    const info = String(await publisher.sendCommand(["INFO", "cluster"]));
    return {
      isOfCluster: info.includes("cluster_enabled:1"),
      publish: (channel, payload) => publisher.publish(channel, payload),
      subscribe: (channels) => inPieces(channels, (piece) => subscriber.subscribe(piece, listener)),
      unsubscribe: (channel) => subscriber.unsubscribe(channel),
      run: (script, keys, args) =>
        runScript(
          (name, value) => publisher.sendCommand([name, value, String(keys.length), ...keys, ...args]),
          script,
        ),
      close,
    };
  } catch (fault) {
    close();
    throw fault;
  }
}

async function openCluster(url: string, listener: ChannelListener, tell: Tell): Promise<Connections> {
  const { username, password } = new URL(url);
  const cluster = createCluster({
    rootNodes: [{ url }],
    defaults: {
      ...common,
      socket,
      ...(username === "" ? {} : { username: decodeURIComponent(username) }),
      ...(password === "" ? {} : { password: decodeURIComponent(password) }),
    },
  });
  cluster.on("error", tell).on("node-error", tell).on(
    "node-disconnect",
    () => tell(new Error("A node of the cluster is gone")),
  );
  const close = (): void => quietly(() => cluster.destroy());
  try {
    await cluster.connect();
    return {
      publish: (channel, payload) => cluster.sPublish(channel, payload),
      // one at a time: channels of one call have to be of one slot
      subscribe: (channels) =>
        inPieces(
          channels,
          (piece) => Promise.all(piece.map((channel) => cluster.sSubscribe(channel, listener))),
        ),
      unsubscribe: async (channel) => void await cluster.sUnsubscribe(channel),
      run: (script, keys, args) =>
        runScript(
          (name, value) =>
            cluster.sendCommand(keys[0], false, [name, value, String(keys.length), ...keys, ...args]),
          script,
        ),
      close,
    };
  } catch (fault) {
    close();
    throw fault;
  }
}

async function inPieces(
  channels: readonly string[],
  work: (piece: string[]) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < channels.length; from += CHANNELS_AT_ONCE) {
    await work(channels.slice(from, from + CHANNELS_AT_ONCE));
  }
}

/** By its digest; by its text where Redis does not know it, as after a restart. */
async function runScript(
  send: (name: "EVALSHA" | "EVAL", value: string) => Promise<unknown>,
  { sha, text }: RedisScript,
): Promise<unknown> {
  try {
    return await send("EVALSHA", sha);
  } catch (fault) {
    if (!(fault instanceof Error && fault.message.startsWith("NOSCRIPT"))) throw fault;
    return await send("EVAL", text);
  }
}

export function onceOf(tell: Tell): { tell: Tell; silence: () => void } {
  let isSilent = false;
  return {
    tell: (fault) => {
      if (isSilent) return;
      isSilent = true;
      tell(fault);
    },
    silence: () => void (isSilent = true),
  };
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // it was closed already
  }
}
