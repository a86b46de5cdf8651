/**
 * The bus: what nodes tell each other. A publication is a hint: it may be lost, doubled or late, and every
 * reader notices (delivery/stream.ts). A topic is `room:<id>`, `inbox:<user>` or `presence`; payloads are text.
 */
export type Listener = (payload: string) => void;

export interface Bus extends AsyncDisposable {
  /** memory reaches this process only. */
  readonly kind: "memory" | "redis" | "upstash";
  /** False while publications are not heard: readers should look for themselves more often. */
  readonly isUp: boolean;
  /** Settles when publications made from now on will be heard, or soon if nobody knows when that will be. */
  subscribe(topic: string, listener: Listener): Promise<void>;
  unsubscribe(topic: string): void;
  /**
   * Never throws and never waits: what cannot be sent is dropped, and repaired by readers. The last one of a topic that
   * was dropped is sent once the bus is up again, unless it is `fleeting`.
   */
  publish(topic: string, payload: string, options?: { fleeting?: boolean }): void;
  /** Hears of topics whose publications may have been missed; undefined: of all. One listener. */
  onGap(listener: (topics: readonly string[] | undefined) => void): void;
}
