/**
 * Whether this process got its share of the machine. The echo application gives 200 ms to answer a ping; who was kept from
 * the processor for that long has broken no rule, and is asked again. On an idle machine a rule has one try.
 */
const BEAT_MS = 10;
/** Of all beats of one try together. */
const LATE_MS = 80;
const TRIES = 3;

class Pulse implements Disposable {
  lateMs = 0;
  #last = performance.now();
  readonly #timer = setInterval(() => {
    const now = performance.now();
    const lateMs = now - this.#last - BEAT_MS;
    if (lateMs > BEAT_MS) this.lateMs += lateMs; // a timer's own inaccuracy is less
    this.#last = now;
  }, BEAT_MS);

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

export async function unlessStarved(check: () => Promise<void>): Promise<void> {
  for (let turn = 1;; turn++) {
    using pulse = new Pulse();
    try {
      return await check();
    } catch (fault) {
      if (turn === TRIES || pulse.lateMs < LATE_MS) throw fault;
    }
  }
}
