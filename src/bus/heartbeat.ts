/**
 * The heartbeat of a session: a beat goes out as a publication and has to come in as one. A subscription that is dead
 * without an error is noticed by the beat that did not come.
 */
export interface HeartbeatInit {
  everyMs: number;
  /** A beat that has not come after so long never will. */
  silenceMs: number;
  /** Where the next beats go. */
  next: () => readonly string[];
  /** What fails here is told by the session's end, or by silence. */
  send: (place: string) => Promise<unknown>;
  onSilence: (fault: Error) => void;
}

export class Heartbeat {
  readonly #init: HeartbeatInit;
  /** Since when a beat is awaited, by its place. */
  readonly #awaited = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(init: HeartbeatInit) {
    this.#init = init;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#beat(), this.#init.everyMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  heard(place: string): void {
    this.#awaited.delete(place);
  }

  /** Nothing will come from there any more. */
  forget(place: string): void {
    this.#awaited.delete(place);
  }

  #beat(): void {
    const { everyMs, silenceMs, next, send, onSilence } = this.#init;
    const now = performance.now();
    for (const since of this.#awaited.values()) {
      if (now - since >= silenceMs) {
        return onSilence(new Error(`A heartbeat did not come within ${silenceMs} ms`));
      }
    }
    for (const place of next()) {
      if (!this.#awaited.has(place)) this.#awaited.set(place, now);
      send(place).catch(() => {});
    }
    this.#timer = setTimeout(() => this.#beat(), everyMs);
  }
}
