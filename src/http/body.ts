/** A request's JSON body. */
import { ChatError } from "../protocol/errors.ts";
import { readBody } from "../sockets/body.ts";

/** The value; {} for no body. Throws `too_large`, `unsupported_media_type` or `invalid_request`. */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const bytes = await readBody(request, maxBytes);
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
