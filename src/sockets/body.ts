/**
 * A request's body: counted while it is read, with a deadline, so that neither a lying length nor a sender that dawdles
 * can hold or fill anything.
 */
import { ChatError } from "../protocol/errors.ts";

const DEADLINE_MS = 10_000;

/** Throws `too_large`, or `invalid_request` if it cannot be read or takes too long. */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
  return await readBytes(request, maxBytes);
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const timer = setTimeout(() => void reader.cancel("too slow").catch(() => {}), DEADLINE_MS);
  const started = performance.now();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      length += part.value.byteLength;
      if (length > maxBytes) {
        void reader.cancel("too large").catch(() => {});
        throw tooLarge(maxBytes);
      }
      parts.push(part.value);
    }
  } catch (fault) {
    if (fault instanceof ChatError) throw fault;
    throw new ChatError("invalid_request", "The body could not be read", undefined, { cause: fault });
  } finally {
    clearTimeout(timer);
  }
  if (performance.now() - started >= DEADLINE_MS) {
    throw new ChatError("invalid_request", "The body did not come in time");
  }
  return joined(parts, length);
}

function joined(parts: readonly Uint8Array<ArrayBuffer>[], length: number): Uint8Array<ArrayBuffer> {
  const [first] = parts;
  if (first?.byteLength === length) return first;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

const tooLarge = (maxBytes: number): ChatError =>
  new ChatError("too_large", `The body may have at most ${maxBytes} bytes`, { maxBytes });
