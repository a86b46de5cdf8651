/** A channel of the hub: one stream, who hears it, and the turns in which they begin. */
import type { Connection } from "./connection.ts";
import type { Topic } from "./pushes.ts";
import type { Stream } from "./stream.ts";
import type { Subscription } from "./subscription.ts";

export interface Channel {
  topic: Topic;
  stream: Stream;
  subscriptions: Map<Connection, Subscription>;
  /** Settles when the bus listens. */
  open: Promise<void>;
  /** Those about to read where the stream begins, each with what lets the next one go; `turn`: when all have gone. */
  beginning: Map<Subscription, () => void>;
  turn: Promise<void>;
  linger: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Until a stream has begun, those who will hear it read one after the other. Side by side, one who had read at 5 could
 * be overtaken by one who begins the stream at 6, and would never hear of 6.
 */
export function takeTurn(channel: Channel, subscription: Subscription): Promise<void> {
  const before = channel.turn;
  const { promise, resolve } = Promise.withResolvers<void>();
  channel.turn = before.then(() => promise);
  channel.beginning.set(subscription, resolve);
  return before.then(() => channel.open);
}

export function endTurn(channel: Channel, subscription: Subscription): void {
  channel.beginning.get(subscription)?.();
  channel.beginning.delete(subscription);
}

/** The stream has begun, or never will. */
export function endTurns(channel: Channel): void {
  for (const end of channel.beginning.values()) end();
  channel.beginning.clear();
}
