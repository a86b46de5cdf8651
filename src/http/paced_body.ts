/**
 * A large body as it comes: counted, and never from a sender that dawdles. Only the time that we wait for the sender
 * counts, not the time that a slow store makes them wait.
 *
 * The runtime gives a new buffer for each piece, and collects them much later than they are done with: 16 bodies at once
 * would fill the memory with them. So whoever has done with one lets go of it.
 */
import { ChatError } from "../protocol/errors.ts";

/** Nothing at all for so long, or less than this on the whole once it has been given some time. */
const SILENCE_MS = 10_000;
const GRACE_MS = 10_000;
const BYTES_PER_S = 16 * 1024;
const CHECK_MS = 1_000;

/** Throws `too_large`, `timed_out` or `invalid_request`. Who stops reading lets go of the body. */
export async function* pacedBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  maxBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
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
      if (isTooSlow) throw new ChatError("timed_out");
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

/** Of a piece: its bytes are gone at once, and whoever still looks at them sees none. */
export function letGo(buffer: ArrayBuffer): void {
  buffer.transfer(0);
}

export const bodyTooLarge = (maxBytes: number): ChatError =>
  new ChatError("too_large", `The body may have at most ${maxBytes} bytes`, { maxBytes });
