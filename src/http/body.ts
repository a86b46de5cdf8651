/**
 * A request's JSON body: counted while it is read, with a deadline, so that neither a lying length nor a sender that
 * dawdles can hold or fill anything.
 */
import { ChatError } from "../protocol/errors.ts";

const DEADLINE_MS = 10_000;

/** The value; {} for no body. Throws `too_large`, `unsupported_media_type` or `invalid_request`. */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const bytes = await readBytes(request, maxBytes);
  if (bytes.byteLength === 0) return {};
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new ChatError("unsupported_media_type", "Expected application/json");
  if (request.headers.has("content-encoding")) {
    throw new ChatError("unsupported_media_type", "Content-Encoding: a body is taken as it is only");
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ChatError("invalid_request", "The body is not UTF-8");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new ChatError("invalid_request", "The body is not JSON");
  }
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const timer = setTimeout(() => void reader.cancel("too slow").catch(() => {}), DEADLINE_MS);
  const started = performance.now();
  const parts: Uint8Array[] = [];
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

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
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
