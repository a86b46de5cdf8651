/** The WebSocket handshake, as far as it has to be looked at before the runtime is asked for the upgrade. */
import { ChatError } from "../protocol/errors.ts";

export const WEBSOCKET_VERSION = "13";

/** What the runtime lets pass and RFC 6455 does not. It looks at Connection itself. */
export function requireHandshake(request: Request): void {
  if (request.method !== "GET") throw new ChatError("method_not_allowed", "Expected GET", { allow: "GET" });
  const offered = (request.headers.get("upgrade") ?? "").toLowerCase().split(",").map((name) => name.trim());
  if (!offered.includes("websocket")) throw new ChatError("upgrade_required");
  if (request.headers.get("sec-websocket-version") !== WEBSOCKET_VERSION) {
    throw new ChatError("upgrade_required", `Sec-WebSocket-Version: Expected ${WEBSOCKET_VERSION}`);
  }
  if (!/^[+/0-9A-Za-z]{22}==$/.test(request.headers.get("sec-websocket-key") ?? "")) {
    throw new ChatError("invalid_request", "Sec-WebSocket-Key: Expected 16 bytes in base64");
  }
}
