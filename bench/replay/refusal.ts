/**
 * A refusal: why a request did not succeed, in the server's code, or ours where it said nothing (`no_answer`,
 * `closed`). Only what the server calls a passing state is tried again; `internal` is a fault to be reported.
 */
import { setTimeout as sleep } from "node:timers/promises";

export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

/** What the server answered as `error`. */
export function toRefusal(error: unknown): Refusal {
  const { code, message } = typeof error === "object" && error !== null
    ? error as Record<string, unknown>
    : { code: undefined, message: undefined };
  return new Refusal(String(code ?? "unknown"), String(message ?? "No message"));
}

const PASSING = ["busy", "unavailable", "rate_limited"];
const TRIES_MAX = 12;
const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 2_000;

/** Tries again with full jitter while the refusal is a passing one. */
export async function retrying<T>(attempt: () => Promise<T>, onRetry: (code: string) => void): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await attempt();
    } catch (fault) {
      if (!(fault instanceof Refusal) || !PASSING.includes(fault.code) || tries >= TRIES_MAX) throw fault;
      onRetry(fault.code);
      const bound = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** tries);
      await sleep(BACKOFF_MIN_MS + Math.random() * bound);
    }
  }
}

export const describe = (fault: unknown): string =>
  fault instanceof Refusal
    ? `${fault.code}: ${fault.message}`
    : fault instanceof Error
    ? fault.message
    : String(fault);
