/**
 * A refusal: why a request did not succeed, in the server's code, or ours where it said nothing (`no_answer`,
 * `closed`). Only what the server calls a passing state is tried again; `internal` is a fault to be reported.
 */
import { setTimeout as sleep } from "node:timers/promises";

export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(
    readonly code: string,
    message: string,
    /** How long the server asks us to wait before we try again. */
    readonly retryAfterMs = 0,
  ) {
    super(message);
  }
}

/** What the server answered as `error`. */
export function toRefusal(error: unknown): Refusal {
  const { code = "unknown", message = "No message", details } = Object(error) as Record<string, unknown>;
  const { retryAfterMs } = Object(details) as Record<string, unknown>;
  return new Refusal(String(code), String(message), typeof retryAfterMs === "number" ? retryAfterMs : 0);
}

const PASSING = ["busy", "unavailable", "rate_limited"];
const GIVE_UP_MS = 60_000;
const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 2_000;

/** Tries again with jitter while the refusal is a passing one, for a minute. */
export async function retrying<T>(attempt: () => Promise<T>, onRetry: (code: string) => void): Promise<T> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (let tries = 1;; tries++) {
    try {
      return await attempt();
    } catch (fault) {
      const passes = fault instanceof Refusal && PASSING.includes(fault.code);
      if (!passes || performance.now() > giveUpAt) throw fault;
      onRetry(fault.code);
      const bound = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** tries);
      await sleep(Math.max(fault.retryAfterMs, BACKOFF_MIN_MS) + Math.random() * bound);
    }
  }
}

export const describe = (fault: unknown): string =>
  fault instanceof Refusal
    ? `${fault.code}: ${fault.message}`
    : fault instanceof Error
    ? fault.message
    : String(fault);
