/**
 * A bus that loses, doubles, delays and so shuffles what it carries, as a seed says; and two nodes on one database
 * that have nothing better. Faults lie at the ear: each node hears its own selection of what was published.
 */
import postgres from "postgres";
import type { Bus, Listener } from "../../src/bus/bus.ts";
import { MemoryBus, MemoryTopics } from "../../src/bus/memory_bus.ts";
import { createTestDatabase, type TestDatabase } from "./databases.ts";
import { startTestApp, type TestApp } from "./test_app.ts";

export interface BusFaults {
  /** Chances from 0 to 1, each taken for every publication that arrives. */
  drop: number;
  double: number;
  late: number;
  lateMs: number;
}

export class FaultyBus implements Bus {
  readonly kind = "memory";
  readonly isUp = true;
  /** Undefined: healed. What is late by then still comes. */
  faults: BusFaults | undefined;
  readonly counts = { heard: 0, dropped: 0, doubled: 0, late: 0 };
  readonly #inner: MemoryBus;
  #random: () => number;
  readonly #late = new Set<ReturnType<typeof setTimeout>>();

  constructor(topics: MemoryTopics, seed: number, faults?: BusFaults) {
    this.#inner = new MemoryBus(topics);
    this.#random = randomOf(seed);
    this.faults = faults;
  }

  reseed(seed: number): void {
    this.#random = randomOf(seed);
  }

  subscribe(topic: string, listener: Listener): Promise<void> {
    return this.#inner.subscribe(topic, (payload) => this.#carry(payload, listener));
  }

  unsubscribe(topic: string): void {
    this.#inner.unsubscribe(topic);
  }

  publish(topic: string, payload: string): void {
    this.#inner.publish(topic, payload);
  }

  onGap(): void {}

  #carry(payload: string, listener: Listener): void {
    this.counts.heard++;
    const { faults } = this;
    if (faults === undefined) return listener(payload);
    if (this.#random() < faults.drop) return void this.counts.dropped++;
    const copies = this.#random() < faults.double ? 2 : 1;
    if (copies === 2) this.counts.doubled++;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#random() < faults.late) this.#carryLate(payload, listener, this.#random() * faults.lateMs);
      else listener(payload);
    }
  }

  #carryLate(payload: string, listener: Listener, ms: number): void {
    this.counts.late++;
    const timer = setTimeout(() => {
      this.#late.delete(timer);
      listener(payload);
    }, ms);
    this.#late.add(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#late) clearTimeout(timer);
    this.#late.clear();
    await this.#inner[Symbol.asyncDispose]();
  }
}

/** Mulberry32: the same numbers in [0, 1) for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type TestSql = postgres.Sql<{ bigint: number }>;

/** Two nodes; `sql` looks past them at what is stored. */
export class FaultyPair implements AsyncDisposable {
  readonly nodes: TestApp[] = [];
  readonly buses: FaultyBus[] = [];
  readonly sql: TestSql;
  /** What the nodes logged as errors. */
  readonly errors: string[] = [];
  readonly #database: TestDatabase;

  private constructor(database: TestDatabase) {
    this.#database = database;
    const types = { bigint: { to: 20, from: [20], parse: Number, serialize: String } };
    this.sql = postgres(database.url, { max: 2, types, fetch_types: false, onnotice: () => {} });
  }

  static async start(env: Record<string, string> = {}): Promise<FaultyPair> {
    const database = await createTestDatabase();
    const pair = new FaultyPair(database);
    const topics = new MemoryTopics();
    for (const seed of [1, 2]) {
      const bus = new FaultyBus(topics, seed);
      const onLog = (line: string) => JSON.parse(line).level === "error" && pair.errors.push(line);
      pair.buses.push(bus);
      pair.nodes.push(await startTestApp({ database, bus, onLog, env }));
    }
    return pair;
  }

  /** Any two numbers of the same parity name the same node. */
  node(n: number): TestApp {
    return this.nodes[n % 2] as TestApp;
  }

  /** Undefined heals. */
  setFaults(faults: BusFaults | undefined): void {
    for (const bus of this.buses) bus.faults = faults;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
    for (const bus of this.buses) await bus[Symbol.asyncDispose](); // what is still late never comes
    await this.sql.end();
    await this.#database[Symbol.asyncDispose]();
  }
}
