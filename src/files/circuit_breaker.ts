/**
 * Who fails several times in a row is left alone for a while, each time longer; then one asks, and the others wait for
 * how it fares. Nothing here waits or asks: this only counts and says.
 */
export class CircuitBreaker {
  readonly #limits: { openAfter: number; openMs: number; openMsMax: number };
  #failures = 0;
  #openings = 0;
  #openUntil = 0;
  /** When the one who asks has taken so long that it will not say how it fared. */
  #tryingUntil = 0;

  constructor(limits: { openAfter: number; openMs: number; openMsMax: number }) {
    this.#limits = limits;
  }

  get state(): "closed" | "open" | "half_open" {
    if (this.#openings === 0) return "closed";
    return Date.now() < this.#openUntil ? "open" : "half_open";
  }

  /** At least a little, also while it is closed. */
  get retryAfterMs(): number {
    return Math.max(this.#openUntil - Date.now(), Math.min(1_000, this.#limits.openMs));
  }

  /** While it is half open, true for one of those who ask. */
  mayTry(): boolean {
    if (this.state === "closed") return true;
    if (this.state === "open" || Date.now() < this.#tryingUntil) return false;
    this.#tryingUntil = Date.now() + this.#limits.openMsMax;
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#openings = 0;
    this.#tryingUntil = 0;
  }

  /** True if it opens by this. */
  failed(): boolean {
    this.#failures++;
    this.#tryingUntil = 0;
    const opens = this.state === "half_open" ||
      (this.state === "closed" && this.#failures >= this.#limits.openAfter);
    if (opens) {
      const { openMs, openMsMax } = this.#limits;
      this.#openUntil = Date.now() + Math.min(openMs * 2 ** this.#openings++, openMsMax);
    }
    return opens;
  }
}
