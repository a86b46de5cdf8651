/**
 * A bus that loses, doubles, delays and so shuffles what it carries, as a seed says. Faults lie at the ear: each
 * node of a test hears its own selection of what was published.
 */
import type { Bus, Listener } from "../../src/bus/bus.ts";
import { MemoryBus, type MemoryTopics } from "../../src/bus/memory_bus.ts";

export interface BusFaults {
  /** Chances from 0 to 1, each taken for every publication that arrives. */
  drop: number;
  double: number;
  late: number;
  lateMs: number;
}

export class FaultyBus implements Bus {
  readonly kind = "memory";
  /** Undefined: healed. What is late by then still comes. */
  faults: BusFaults | undefined;
  readonly counts = { heard: 0, dropped: 0, doubled: 0, late: 0 };
  readonly #inner: MemoryBus;
  readonly #random: () => number;
  readonly #late = new Set<ReturnType<typeof setTimeout>>();

  constructor(topics: MemoryTopics, seed: number, faults?: BusFaults) {
    this.#inner = new MemoryBus(topics);
    this.#random = randomOf(seed);
    this.faults = faults;
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
