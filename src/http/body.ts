/**
 * A request's JSON body: counted while it is read, with a deadline, so that neither a lying length nor a sender that
 * dawdles can hold or fill anything.
 */
import { ChatError } from "../protocol/errors.ts";

const DEADLINE_MS = 10_000;

/** The value; {} for no body. Throws `too_large`, `unsupported_media_type` or `invalid_request`. */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const text = await readText(request, maxBytes);
  if (text === "") return {};
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new ChatError("unsupported_media_type", "Expected application/json");
  if (request.headers.has("content-encoding")) {
    throw new ChatError("unsupported_media_type", "Content-Encoding: a body is taken as it is only");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new ChatError("invalid_request", "The body is not JSON");
  }
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  if (request.body === null) return "";
  const reader = request.body.getReader();
  const timer = setTimeout(() => void reader.cancel("too slow").catch(() => {}), DEADLINE_MS);
  const started = performance.now();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes += part.value.byteLength;
      if (bytes > maxBytes) {
        void reader.cancel("too large").catch(() => {});
        throw tooLarge(maxBytes);
      }
      text += decoder.decode(part.value, { stream: true });
    }
    if (performance.now() - started >= DEADLINE_MS) {
      throw new ChatError("invalid_request", "The body did not come in time");
    }
    return text + decoder.decode();
  } catch (fault) {
    if (fault instanceof ChatError) throw fault;
    throw new ChatError("invalid_request", "The body could not be read as UTF-8", undefined, {
      cause: fault,
    });
  } finally {
    clearTimeout(timer);
  }
}

const tooLarge = (maxBytes: number): ChatError =>
  new ChatError("too_large", `The body may have at most ${maxBytes} bytes`, { maxBytes });
