/** Waits for a condition; rejects with what it was. */
import { setTimeout as sleep } from "node:timers/promises";

export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  waitMs = 15_000,
): Promise<void> {
  for (const started = performance.now(); !await holds();) {
    if (performance.now() - started > waitMs) throw new Error(`Waited ${waitMs} ms for ${what}`);
    await sleep(10);
  }
}
