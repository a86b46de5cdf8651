/**
 * The native door: GET /ws becomes a WebSocket. Every check comes before the upgrade, because whatever fails between
 * Deno.upgradeWebSocket and the return of its response ends the process.
 */
import type { Actor } from "../chat/actor.ts";
import { ChatError } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/ids.ts";
import { SUBPROTOCOL, SUBPROTOCOL_BATCH, SUBPROTOCOL_BEARER } from "../protocol/limits.ts";
import { describeFault } from "../log.ts";
import { NativeSocket, type SocketUses } from "./socket.ts";

export interface NativeDoorOptions extends SocketUses {
  /** Asked of browsers only: other clients send no Origin. */
  mayConnectFrom: (origin: string) => boolean;
  /** Seconds without a sign of life after which the runtime closes a socket. */
  idleTimeoutS: number;
}

export class NativeDoor {
  readonly #options: NativeDoorOptions;
  readonly #sockets = new Set<NativeSocket>();
  #draining = false;
  #emptied: (() => void) | undefined;

  constructor(options: NativeDoorOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#sockets.size;
  }

  /** Answers the upgrade, or an error in the shape of REST's. Never throws. */
  async upgrade(request: Request): Promise<Response> {
    let admitted: { actor: Actor | undefined; protocol: string | undefined };
    try {
      admitted = await this.#admit(request);
    } catch (fault) {
      return this.#refuse(fault);
    }
    const { actor, protocol } = admitted;
    try {
      const { socket, response } = Deno.upgradeWebSocket(request, {
        idleTimeout: this.#options.idleTimeoutS,
        ...(protocol === undefined ? {} : { protocol }),
      });
      const native: NativeSocket = new NativeSocket(socket, this.#options, {
        batch: protocol === SUBPROTOCOL_BATCH,
        actor,
        onClosed: () => {
          this.#sockets.delete(native);
          if (this.#sockets.size === 0) this.#emptied?.();
        },
      });
      this.#sockets.add(native);
      return response;
    } catch (fault) {
      return this.#refuse(
        new ChatError("invalid_request", "Not a WebSocket upgrade", undefined, { cause: fault }),
      );
    }
  }

  /** No new sockets from now on; those that never signed in go at once. */
  drain(): void {
    this.#draining = true;
    for (const socket of this.#sockets) socket.drain();
  }

  /** Settles when no socket is left. */
  emptied(): Promise<void> {
    return this.#sockets.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#emptied = resolve);
  }

  async #admit(request: Request): Promise<{ actor: Actor | undefined; protocol: string | undefined }> {
    if (this.#draining) throw new ChatError("unavailable", "This node is going away");
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      throw new ChatError("upgrade_required");
    }
    const origin = request.headers.get("origin");
    if (origin !== null && !this.#options.mayConnectFrom(origin)) throw new ChatError("origin_not_allowed");
    const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",").map((name) =>
      name.trim()
    );
    const protocol = offered.find((name) => name === SUBPROTOCOL || name === SUBPROTOCOL_BATCH);
    if (protocol === undefined && offered.some((name) => name !== "")) {
      throw new ChatError("invalid_request", `Sec-WebSocket-Protocol: Expected ${SUBPROTOCOL}`);
    }
    const token = bearerOf(request) ??
      offered.find((name) => name.startsWith(SUBPROTOCOL_BEARER))?.slice(SUBPROTOCOL_BEARER.length);
    return { protocol, actor: token === undefined ? undefined : await this.#options.auth(token) };
  }

  #refuse(fault: unknown): Response {
    const requestId = newRequestId();
    const told = fault instanceof ChatError ? fault : new ChatError("internal");
    if (told !== fault) this.#options.log.error("upgrade.fault", { requestId, ...describeFault(fault) });
    return told.toResponse(requestId);
  }
}

function bearerOf(request: Request): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
}
