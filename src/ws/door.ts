/**
 * The native door: GET /ws becomes a WebSocket. Every check, and everything that can fail, comes before the upgrade:
 * what fails between Deno.upgradeWebSocket and the return of its response ends the process.
 */
import type { Actor } from "../chat/actor.ts";
import type { Admission, Ticket } from "../chat/admission.ts";
import { ChatError } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/ids.ts";
import { SUBPROTOCOL, SUBPROTOCOL_BATCH, SUBPROTOCOL_BEARER } from "../protocol/limits.ts";
import type { Caller } from "../sockets/caller.ts";
import type { SocketUses } from "../sockets/framed_socket.ts";
import { guard, logFault } from "../sockets/guard.ts";
import { requireHandshake, WEBSOCKET_VERSION } from "../sockets/handshake.ts";
import { held } from "../sockets/tarpit.ts";
import { CommandLoop, type LoopUses } from "./command_loop.ts";
import { NativeSocket } from "./socket.ts";

export interface NativeDoorOptions extends SocketUses, LoopUses {
  admission: Admission;
  /** Asked of browsers only: other clients send no Origin. */
  mayConnectFrom: (origin: string) => boolean;
  /** Seconds without a sign of life after which the runtime closes a socket. */
  idleTimeoutS: number;
}

export class NativeDoor {
  readonly #options: NativeDoorOptions;
  readonly #loops = new Set<CommandLoop>();
  #draining = false;
  #emptied: (() => void) | undefined;

  constructor(options: NativeDoorOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#loops.size;
  }

  /** Answers the upgrade, or an error in the shape of REST's. Never throws. */
  async upgrade(request: Request, caller: Caller): Promise<Response> {
    let ticket: Ticket | undefined;
    let native: NativeSocket | undefined;
    try {
      const { actor, protocol } = await this.#check(request);
      this.#requireRoom(); // once more: the token took its time
      ticket = this.#options.admission.admit(caller.address, actor?.userId);
      const batch = protocol === SUBPROTOCOL_BATCH;
      native = new NativeSocket(caller.peer, batch, this.#options);
      const init = { batch, actor, ticket, onEnded: () => this.#ended(loop) };
      const loop: CommandLoop = new CommandLoop(native, this.#options, init);
      this.#loops.add(loop);
      native.listener = loop;
      return this.#upgrade(request, protocol, native);
    } catch (fault) {
      native?.abandon();
      ticket?.end();
      return await this.#refuse(fault);
    }
  }

  /** The last step, and all that there is between the upgrade and its response. */
  #upgrade(request: Request, protocol: string | undefined, native: NativeSocket): Response {
    let upgrade: Deno.WebSocketUpgrade;
    try {
      upgrade = Deno.upgradeWebSocket(request, {
        idleTimeout: this.#options.idleTimeoutS,
      });
    } catch (fault) {
      throw new ChatError("invalid_request", "The request is not a WebSocket handshake", undefined, {
        cause: fault,
      });
    }
    if (protocol !== undefined) {
      // its own option for it knows offers with a blank after the comma alone; the `ws` of Node sends none
      guard(this.#options.log, "upgrade.fault", () => {
        upgrade.response.headers.set("sec-websocket-protocol", protocol);
      });
    }
    native.attach(upgrade.socket);
    return upgrade.response;
  }

  #ended(loop: CommandLoop): void {
    this.#loops.delete(loop);
    if (this.#loops.size === 0) this.#emptied?.();
  }

  /** No new sockets from now on; those that never signed in go at once. */
  drain(): void {
    this.#draining = true;
    for (const loop of this.#loops) loop.drain();
  }

  /** Settles when no socket is left. */
  emptied(): Promise<void> {
    return this.#loops.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#emptied = resolve);
  }

  #requireRoom(): void {
    const { work, warden } = this.#options;
    if (this.#draining) throw new ChatError("unavailable", "This node is going away");
    if (work.overloaded || warden.isCrowded) {
      throw new ChatError("busy", "The node has more to do than it can");
    }
  }

  async #check(request: Request): Promise<{ actor: Actor | undefined; protocol: string | undefined }> {
    this.#requireRoom();
    requireHandshake(request);
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

  async #refuse(fault: unknown): Promise<Response> {
    const { tarpit, log } = this.#options;
    const requestId = newRequestId();
    await held(tarpit, fault, log);
    const told = fault instanceof ChatError ? fault : new ChatError("internal");
    if (told !== fault) logFault(log, "upgrade.fault", fault, { requestId });
    const response = told.toResponse(requestId);
    if (told.code === "upgrade_required") {
      response.headers.set("upgrade", "websocket");
      response.headers.set("sec-websocket-version", WEBSOCKET_VERSION);
    }
    return response;
  }
}

function bearerOf(request: Request): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
}
