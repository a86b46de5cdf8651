/**
 * A session with Redis: one life of the connections to it, from opening to the first fault. Nothing is tried again
 * inside; whoever holds it opens the next one and then knows that publications may have been missed in between. A
 * server that is part of a cluster is spoken to as such, with sharded publications.
 */
import { createClient, createCluster } from "@redis/client";

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
  url: string;
  listener: ChannelListener;
  /** Called once, however much goes wrong; not after `end`. */
  onLost: (fault: unknown) => void;
}

const CONNECT_MS = 2_000;
/** Without a word from Redis, not even an answer to our pings, for so long, a connection is dead. */
const SILENCE_MS = 4_000;
const PING_MS = 1_000;
const CHANNELS_AT_ONCE = 500;

const socket = { connectTimeout: CONNECT_MS, socketTimeout: SILENCE_MS, reconnectStrategy: false as const };
const common = {
  pingInterval: PING_MS,
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: "disabled" as const,
};

/** Rejects if Redis is out of reach. */
export async function openSession(init: SessionInit): Promise<RedisSession> {
  const session = await openSingle(init);
  if (!session.isOfCluster) return session;
  session.end();
  return await openCluster(init);
}

export async function toScript(text: string): Promise<RedisScript> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return { text, sha: new Uint8Array(digest).toHex() };
}

async function openSingle(
  { url, listener, onLost }: SessionInit,
): Promise<RedisSession & { isOfCluster: boolean }> {
  const once = onceOf(onLost);
  const [publisher, subscriber] = [
    createClient({ url, socket, ...common }),
    createClient({ url, socket, ...common }),
  ];
  const clients = [publisher, subscriber];
  for (const client of clients) {
    client.on("error", once.tell).on("end", () => once.tell(new Error("Redis closed the connection")));
  }
  const end = (): void => {
    once.silence();
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
      end,
    };
  } catch (fault) {
    end();
    throw fault;
  }
}

async function openCluster({ url, listener, onLost }: SessionInit): Promise<RedisSession> {
  const once = onceOf(onLost);
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
  cluster.on("error", once.tell).on("node-error", once.tell).on(
    "node-disconnect",
    () => once.tell(new Error("A node of the cluster is gone")),
  );
  const end = (): void => {
    once.silence();
    quietly(() => cluster.destroy());
  };
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
      end,
    };
  } catch (fault) {
    end();
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

function onceOf(tell: (fault: unknown) => void): { tell: (fault: unknown) => void; silence: () => void } {
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
