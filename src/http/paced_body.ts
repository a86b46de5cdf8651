/**
 * A large body as it comes: counted, and never from a sender that dawdles. Only the time that we wait for the sender
 * counts, not the time that a slow store makes them wait.
 */
import { ChatError } from "../protocol/errors.ts";

/** Nothing at all for so long, or less than this on the whole once it has been given some time. */
const SILENCE_MS = 10_000;
const GRACE_MS = 10_000;
const BYTES_PER_S = 16 * 1024;
const CHECK_MS = 1_000;

/** Throws `too_large` or `invalid_request`. Who stops reading lets go of the body. */
export async function* pacedBody(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  let bytes = 0;
  let waitedMs = 0;
  let waitingSince: number | undefined;
  let isTooSlow = false;
  const check = setInterval(() => {
    const waiting = waitingSince === undefined ? 0 : performance.now() - waitingSince;
    const whole = waitedMs + waiting;
    isTooSlow = waiting > SILENCE_MS || (whole > GRACE_MS && bytes < whole / 1_000 * BYTES_PER_S);
    if (isTooSlow) void reader.cancel("too slow").catch(() => {});
  }, CHECK_MS);
  try {
    for (;;) {
      waitingSince = performance.now();
      const part = await reader.read().catch((cause) => {
        throw new ChatError("invalid_request", "The body broke off", undefined, { cause });
      });
      waitedMs += performance.now() - waitingSince;
      waitingSince = undefined;
      if (isTooSlow) throw new ChatError("invalid_request", "The body did not come in time");
      if (part.done) return;
      bytes += part.value.byteLength;
      if (bytes > maxBytes) throw bodyTooLarge(maxBytes);
      yield part.value;
    }
  } finally {
    clearInterval(check);
    void reader.cancel().catch(() => {});
  }
}

export const bodyTooLarge = (maxBytes: number): ChatError =>
  new ChatError("too_large", `The body may have at most ${maxBytes} bytes`, { maxBytes });
