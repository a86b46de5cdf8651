/**
 * Misconduct: who had to be cut again and again stays outside for a while. To be cut costs an attacker nothing if he
 * may come again at once, and everybody else as much as the first time.
 */

/** One is a mistake; after two there would be a third. */
const OFFENCES_MAX = 2;
const WITHIN_MS = 60_000;
/** Of those known; the oldest are forgiven. */
const KNOWN_MAX = 50_000;

export class Misconduct<K> {
  /** In the order of their ends. */
  readonly #known = new Map<K, { offences: number; until: number }>();

  blame(key: K): void {
    const now = Date.now();
    for (const [known, { until }] of this.#known) {
      if (until > now && this.#known.size < KNOWN_MAX) break;
      this.#known.delete(known);
    }
    const record = this.#known.get(key);
    if (record !== undefined) record.offences++;
    else this.#known.set(key, { offences: 1, until: now + WITHIN_MS });
  }

  /** For how long it must stay outside, 0 for not at all. */
  waitMs(key: K): number {
    const record = this.#known.get(key);
    return record === undefined || record.offences < OFFENCES_MAX
      ? 0
      : Math.max(0, record.until - Date.now());
  }
}
