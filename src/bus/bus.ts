/**
 * The bus: what nodes tell each other. A publication is a hint: it may be lost, doubled or late, and every
 * reader notices (delivery/stream.ts). A topic is `room:<id>` or `inbox:<user>`; payloads are text.
 */
export type Listener = (payload: string) => void;

export interface Bus extends AsyncDisposable {
  /** memory reaches this process only. */
  readonly kind: "memory" | "redis" | "upstash";
  /** Settles when publications made from now on will be heard. */
  subscribe(topic: string, listener: Listener): Promise<void>;
  unsubscribe(topic: string): void;
  /** Never throws and never waits: what cannot be sent is dropped, and repaired by readers. */
  publish(topic: string, payload: string): void;
}
