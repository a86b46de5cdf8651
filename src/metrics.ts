/** Every metric, declared once, in the text that Prometheus reads. What a gauge tells is asked of its part when it is read. */
import { Counter, Gauge, Registry } from "prom-client";

/** What is looked at rather than counted. */
export interface Gauges {
  sockets: () => number;
  uploads: () => number;
  lagSeconds: () => number;
  residentBytes: () => number;
}

const PREFIX = "scroll_chat_";

export class Metrics {
  readonly #registry = new Registry();
  /** One for each file: clean, infected or failed. */
  readonly verdicts: Counter<"state"> = new Counter({
    name: `${PREFIX}attachment_verdicts_total`,
    help: "Files that were scanned on this node, by what came out",
    labelNames: ["state"],
    registers: [this.#registry],
  });

  constructor() {
    for (const state of ["clean", "infected", "failed"]) this.verdicts.inc({ state }, 0);
  }

  watch(gauges: Gauges): void {
    this.#gauge("sockets", "Sockets that are signed in", gauges.sockets);
    this.#gauge("uploads_under_way", "Bodies of uploads that are being read", gauges.uploads);
    this.#gauge("event_loop_lag_seconds", "How late the event loop was at the last look", gauges.lagSeconds);
    this.#gauge("resident_bytes", "Memory of the process", gauges.residentBytes);
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: PREFIX + name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
