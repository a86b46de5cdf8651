/** The bus of one process. Nodes of a test share one hub of topics; a node in production is alone on its own. */
import type { Bus, Listener } from "./bus.ts";

/** Topics and all who listen to them, whichever node they belong to. */
export class MemoryTopics {
  readonly #listeners = new Map<string, Set<Listener>>();

  add(topic: string, listener: Listener): void {
    const known = this.#listeners.get(topic);
    if (known === undefined) this.#listeners.set(topic, new Set([listener]));
    else known.add(listener);
  }

  remove(topic: string, listener: Listener): void {
    const known = this.#listeners.get(topic);
    known?.delete(listener);
    if (known?.size === 0) this.#listeners.delete(topic);
  }

  send(topic: string, payload: string): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener(payload);
  }
}

export class MemoryBus implements Bus {
  readonly kind = "memory";
  readonly isUp = true;
  readonly #topics: MemoryTopics;
  readonly #own = new Map<string, Listener>();

  constructor(topics: MemoryTopics = new MemoryTopics()) {
    this.#topics = topics;
  }

  subscribe(topic: string, listener: Listener): Promise<void> {
    this.unsubscribe(topic);
    this.#own.set(topic, listener);
    this.#topics.add(topic, listener);
    return Promise.resolve();
  }

  unsubscribe(topic: string): void {
    const listener = this.#own.get(topic);
    if (listener !== undefined) this.#topics.remove(topic, listener);
    this.#own.delete(topic);
  }

  publish(topic: string, payload: string): void {
    this.#topics.send(topic, payload);
  }

  onGap(): void {}

  [Symbol.asyncDispose](): Promise<void> {
    for (const topic of [...this.#own.keys()]) this.unsubscribe(topic);
    return Promise.resolve();
  }
}
