/** Waits of tests that end: what hangs fails in time, and says what was waited for. */

export async function withDeadline<T>(waited: Promise<T>, ms: number, what: () => string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`Waited ${ms} ms for ${what()}`)), ms);
  try {
    return await Promise.race([waited, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Something whose changes are told: whoever waits looks again at each, and does not poll. */
export class Changes {
  readonly #checks = new Set<() => void>();

  tell(): void {
    for (const check of [...this.#checks]) check();
  }

  async until(holds: () => boolean, ms: number, what: () => string): Promise<void> {
    if (holds()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => void (holds() && resolve());
    this.#checks.add(check);
    try {
      await withDeadline(promise, ms, what);
    } finally {
      this.#checks.delete(check);
    }
  }
}
