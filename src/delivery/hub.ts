/**
 * The hub: on this node, which connection hears which stream. It opens a stream's bus topic for its first
 * subscriber and lets it linger after the last, sends publications out, and sweeps: the primary is asked
 * which streams are further than this node has seen, in slices spread over the period.
 */
import type { Bus } from "../bus/bus.ts";
import { ChatError } from "../protocol/errors.ts";
import type { NodeId, RoomId, UserId } from "../protocol/ids.ts";
import type { JsonText } from "../protocol/json_text.ts";
import { describeFault, type Log } from "../log.ts";
import type { Change } from "../store/changes.ts";
import { type Channel, endTurn, endTurns, takeTurn } from "./channel.ts";
import type { Connection } from "./connection.ts";
import { decodeSignal, encodeSignal, type EphemeralPush, type Signal } from "./ephemeral.ts";
import { decodePublication, encodePublication, type Push } from "./push.ts";
import { inboxTopic, publicationsOf, roomTopic, type Topic } from "./pushes.ts";
import { Seen } from "./seen.ts";
import { Stream } from "./stream.ts";
import type { StreamReader } from "./stream_reader.ts";
import { Subscription } from "./subscription.ts";

export interface HubOptions {
  nodeId: NodeId;
  bus: Bus;
  reader: StreamReader;
  holdMs: number;
  lingerMs: number;
  log: Log;
  /** The database's life when the node began: what comes after it is another, from the first round on. */
  epoch: string;
}

export class Hub implements AsyncDisposable {
  readonly #options: HubOptions;
  readonly #channels = new Map<Topic, Channel>();
  readonly #heardBy = new Map<Connection, Map<Topic, Subscription>>();
  readonly #closing = new Set<Promise<void>>();
  #outbox: Change[] = [];
  #sending: ReturnType<typeof setTimeout> | undefined;
  readonly #seen = new Seen();
  readonly #readers = new Map<string, (topic: Topic, payload: JsonText) => void>();
  #onPush: (topic: Topic, push: Push) => void = () => {};
  #repairs = 0;
  #epoch: string;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#epoch = options.epoch;
  }

  get repairs(): number {
    return this.#repairs;
  }

  roomsHeardBy(connection: Connection): number {
    let count = 0;
    for (const topic of this.#heardBy.get(connection)?.keys() ?? []) if (topic.startsWith("room:")) count++;
    return count;
  }

  connectionsOf(userId: UserId): Connection[] {
    return [...this.#channels.get(inboxTopic(userId))?.subscriptions.keys() ?? []];
  }

  hears(connection: Connection, roomId: RoomId): boolean {
    return this.#heardBy.get(connection)?.has(roomTopic(roomId)) ?? false;
  }

  /** The highest seq that this node knows of, by its streams, its own writes and the bus. */
  seenOf(topic: Topic): number {
    return Math.max(this.#seen.of(topic), this.#channels.get(topic)?.stream.through ?? 0);
  }

  /** Connections that hear the topic live. */
  *listenersOf(topic: Topic): Iterable<Connection> {
    for (const [connection, { live }] of this.#channels.get(topic)?.subscriptions ?? []) {
      if (live) yield connection;
    }
  }

  /** To this node's sockets that hear the topic; answers how many those are. */
  pushEphemeral(topic: Topic, push: EphemeralPush): number {
    let count = 0;
    for (const connection of this.listenersOf(topic)) {
      connection.offerEphemeral(push);
      count++;
    }
    return count;
  }

  /** To the other nodes that have the topic open. */
  signal(topic: Topic, signal: Signal): void {
    this.#options.bus.publish(topic, encodeSignal(this.#options.nodeId, signal), { fleeting: true });
  }

  /** Reads what other nodes signal; one reader a kind. */
  onSignal(kind: string, read: (topic: Topic, payload: JsonText) => void): void {
    this.#readers.set(kind, read);
  }

  /** Sees every push that has gone out to this node's sockets; one at most looks on. Must not throw. */
  onPush(look: (topic: Topic, push: Push) => void): void {
    this.#onPush = look;
  }

  /**
   * A subscription that catches up; live pushes wait in it from now on. A second one of the same room replaces the
   * first. Throws `unavailable` once the connection has ended: nobody would take the subscription back.
   */
  hear(connection: Connection, topic: Topic): { subscription: Subscription; open: Promise<void> } {
    if (connection.closed !== undefined) throw new ChatError("unavailable", "The connection has ended");
    const channel = this.#channels.get(topic) ?? this.#openChannel(topic);
    clearTimeout(channel.linger);
    channel.linger = undefined;
    const replaced = channel.subscriptions.get(connection);
    replaced?.end();
    if (replaced !== undefined) endTurn(channel, replaced);
    const subscription: Subscription = new Subscription(
      connection,
      topic,
      () => this.stopHearing(connection, topic, subscription),
    );
    channel.subscriptions.set(connection, subscription);
    const heard = this.#heardBy.get(connection) ?? new Map<Topic, Subscription>();
    this.#heardBy.set(connection, heard.set(topic, subscription));
    const hasBegun = channel.stream.through !== undefined;
    return { subscription, open: hasBegun ? channel.open : takeTurn(channel, subscription) };
  }

  /** A position of the stream, read from the primary after `open`: where the stream begins if it had not. */
  startAt(topic: Topic, seq: number): void {
    const channel = this.#channels.get(topic);
    channel?.stream.start(seq);
    if (channel !== undefined) endTurns(channel);
  }

  /** Ends what the connection hears of the topic; only `subscription`, if named, so that a newer one lives on. */
  stopHearing(connection: Connection, topic: Topic, subscription?: Subscription): void {
    const channel = this.#channels.get(topic);
    const known = channel?.subscriptions.get(connection);
    if (channel === undefined || known === undefined || (subscription ?? known) !== known) return;
    known.end();
    connection.forget(topic);
    endTurn(channel, known);
    channel.subscriptions.delete(connection);
    const heard = this.#heardBy.get(connection);
    heard?.delete(topic);
    if (heard?.size === 0) this.#heardBy.delete(connection);
    if (channel.subscriptions.size === 0) this.#letLinger(channel);
  }

  drop(connection: Connection): void {
    for (const topic of [...this.#heardBy.get(connection)?.keys() ?? []]) this.stopHearing(connection, topic);
  }

  /** After the commit: to this node's sockets, then to the bus; in a later turn, so that the ack goes first. */
  publish(changes: readonly Change[]): void {
    for (const change of changes) this.#seen.noteChange(change);
    this.#outbox.push(...changes);
    if (this.#outbox.length > 0) this.#sending ??= setTimeout(() => this.#flush(), 0);
  }

  #flush(): void {
    clearTimeout(this.#sending);
    this.#sending = undefined;
    const batch = this.#outbox;
    this.#outbox = [];
    for (const change of batch) {
      for (const { topic, push } of publicationsOf(change)) this.#send(topic, push);
    }
  }

  #send(topic: Topic, push: Push): void {
    this.#channels.get(topic)?.stream.offer(push);
    this.#options.bus.publish(topic, encodePublication(this.#options.nodeId, push));
  }

  #openChannel(topic: Topic): Channel {
    const { nodeId, bus, reader, holdMs, log } = this.#options;
    const subscriptions = new Map<Connection, Subscription>();
    const stream = new Stream({
      name: topic,
      holdMs,
      log,
      read: (since, known) => reader.readSince(topic, since, known),
      onRepair: () => this.#repairs++,
      deliver: (push) => {
        for (const subscription of subscriptions.values()) subscription.deliver(push);
        this.#onPush(topic, push);
      },
    });
    const open = bus.subscribe(topic, (payload) => {
      const push = decodePublication(nodeId, payload);
      if (push !== undefined) {
        this.#seen.note(topic, push.seq);
        return stream.offer(push);
      }
      const signal = decodeSignal(nodeId, payload);
      if (signal !== undefined) this.#readers.get(signal.kind)?.(topic, signal.payload);
    });
    const channel: Channel = {
      ...{ topic, stream, subscriptions, open },
      beginning: new Map(),
      turn: Promise.resolve(),
      linger: undefined,
    };
    this.#channels.set(topic, channel);
    return channel;
  }

  #letLinger(channel: Channel): void {
    channel.linger = setTimeout(() => {
      this.#channels.delete(channel.topic);
      this.#close(channel);
    }, this.#options.lingerMs);
  }

  #close(channel: Channel): void {
    clearTimeout(channel.linger);
    endTurns(channel);
    this.#options.bus.unsubscribe(channel.topic);
    const closing = channel.stream.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** Compares open streams with the primary, and the epoch if `isRound`; see delivery/sweep.ts for when. */
  async sweep(topics: readonly Topic[], isRound = true): Promise<void> {
    const seen = new Map<Topic, number>();
    for (const topic of topics) {
      const through = this.#channels.get(topic)?.stream.through;
      if (through !== undefined) seen.set(topic, through);
    }
    if (seen.size === 0) return;
    try {
      if (isRound) await this.#watchEpoch();
      for (const [topic, lastSeq] of await this.#options.reader.ahead(seen)) {
        this.#channels.get(topic)?.stream.behind(lastSeq);
      }
    } catch (fault) {
      this.#options.log.warn("sweep.failed", describeFault(fault));
    }
  }

  /** Another life of the database: what streams and sockets have counted is void, and may say what is no more. */
  async #watchEpoch(): Promise<void> {
    const epoch = await this.#options.reader.epoch();
    if (this.#epoch === epoch) return;
    this.#epoch = epoch;
    this.#options.log.warn("epoch.changed", { text: "All sockets are told to come back and start anew" });
    for (const connection of [...this.#heardBy.keys()]) connection.close("restart");
    for (const channel of this.#channels.values()) this.#close(channel);
    this.#channels.clear();
    this.#heardBy.clear();
  }

  topics(): Topic[] {
    return [...this.#channels.keys()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#flush();
    for (const channel of this.#channels.values()) this.#close(channel);
    this.#channels.clear();
    this.#heardBy.clear();
    await Promise.all(this.#closing);
  }
}
