/**
 * Deadlines are spread: connections that came at one moment would all be ended at one moment, and come again together,
 * and whoever else is there would wait for all of them.
 */
const SPREAD = 0.4;

/** Milliseconds: at least `ms`, at most 1.4 times that. */
export function spread(ms: number): number {
  return ms * (1 + SPREAD * Math.random());
}
