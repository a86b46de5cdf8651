/**
 * Vigilance: how often the warden looks at all peers. A flood is told from a large message by looking again soon, and
 * to look costs a little for each peer: so it takes a hundredth of the time as long as all is well, more once the event
 * loop is late, which is what floods do first, and most while somebody is being ended.
 */

/** A look costs this much of the time that passes until the next. */
const CALM_SHARE = 1 / 100;
const LATE_SHARE = 1 / 20;
const ATTACKED_SHARE = 1 / 5;
/** However many peers there are, unless it took more than LATE_SHARE. */
const CALM_MAX_MS = 200;
const LATE_MS = 5;
const STAYS_MS = 500;

export class Vigilance {
  #lateUntil = 0;
  #attackedUntil = 0;
  #endedAt = 0;
  #tookMs = 0;

  /** A timer came so much later than it should. */
  wasLate(now: number, ms: number): void {
    if (ms > LATE_MS) this.#lateUntil = now + STAYS_MS;
  }

  /** Somebody had to be ended for what he sent. */
  wasAttacked(now: number): void {
    this.#attackedUntil = now + STAYS_MS;
  }

  isAttacked(now: number): boolean {
    return now < this.#attackedUntil;
  }

  /** A look at all is over; it took so long in all. */
  looked(now: number, tookMs: number): void {
    this.#endedAt = now;
    this.#tookMs = tookMs;
  }

  /** It is time to look again. */
  isDue(now: number): boolean {
    return now >= this.#endedAt + this.#pauseMs(now);
  }

  #pauseMs(now: number): number {
    if (now < this.#attackedUntil) return this.#tookMs / ATTACKED_SHARE;
    const pressed = this.#tookMs / LATE_SHARE;
    return now < this.#lateUntil
      ? pressed
      : Math.max(pressed, Math.min(CALM_MAX_MS, this.#tookMs / CALM_SHARE));
  }
}
