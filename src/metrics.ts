/** Every metric, declared once, in the text that Prometheus reads. What a gauge tells is asked of its part when it is read. */
import { Counter, Gauge, Registry } from "prom-client";

/** What is looked at rather than counted. */
export interface Gauges {
  sockets: () => number;
  uploads: () => number;
  lagSeconds: () => number;
  residentBytes: () => number;
  refusalsWaiting: () => number;
}

/** What its part counts itself, from the start of the process. */
export interface Totals {
  cuts: () => number;
  processFaults: () => number;
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

  watch(parts: Gauges & Totals): void {
    this.#gauge("sockets", "Sockets that are signed in", parts.sockets);
    this.#gauge("uploads_under_way", "Bodies of uploads that are being read", parts.uploads);
    this.#gauge("event_loop_lag_seconds", "How late the event loop was at the last look", parts.lagSeconds);
    this.#gauge("resident_bytes", "Memory of the process", parts.residentBytes);
    this.#gauge("refusals_waiting", "Refusals of sockets that are told later", parts.refusalsWaiting);
    this.#total("connections_cut_total", "Connections that the warden reset", parts.cuts);
    this.#total("process_faults_total", "Faults that nobody caught", parts.processFaults);
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

  #total(name: string, help: string, read: () => number): void {
    new Counter({
      name: PREFIX + name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(read());
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
