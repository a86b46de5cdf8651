/**
 * The engine: Engine.IO 4 over requests and WebSockets. It finds or makes the session of a request and answers. What
 * sessions carry, and who may have one, is its user's to say. Every check comes before an upgrade: what fails between
 * Deno.upgradeWebSocket and the return of its response ends the process.
 */
import { ChatError } from "../../protocol/errors.ts";
import { newRequestId } from "../../protocol/ids.ts";
import { readBody } from "../../sockets/body.ts";
import type { Caller } from "../../sockets/caller.ts";
import type { SocketUses } from "../../sockets/framed_socket.ts";
import { logFault } from "../../sockets/guard.ts";
import { requireHandshake } from "../../sockets/handshake.ts";
import { held, type Tarpit } from "../../sockets/tarpit.ts";
import { corsHeaders, type Origins, preflight } from "./origins.ts";
import { EngineRefusal } from "./refusals.ts";
import { Session, type SessionListener } from "./session.ts";
import { SessionSocket } from "./session_socket.ts";

export interface EngineOptions extends SocketUses {
  pingIntervalMs: number;
  pingTimeoutMs: number;
  origins: Origins;
  tarpit: Tarpit;
  /** Begins every sid: where several machines serve one address, it names this one. */
  sidPrefix: string;
  /** A request of a session that is not here; undefined if nobody else can have it. */
  elsewhere?: (request: Request, sid: string, caller: Caller) => Promise<Response> | undefined;
  /** Listens to a new session. Throws a ChatError to refuse it. */
  accept: (session: Session, caller: Caller) => SessionListener;
}

const VERSION = "4";
const SID_BYTES = 18;
const BYTES = "application/octet-stream";
const TEXT = {
  "content-type": "text/plain; charset=UTF-8",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
};

export class Engine {
  readonly #options: EngineOptions;
  readonly #sessions = new Map<string, Session>();
  #emptied: (() => void) | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#sessions.size;
  }

  /** Settles when no session is left. */
  emptied(): Promise<void> {
    return this.#sessions.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#emptied = resolve);
  }

  /** Nobody is waited for any longer. */
  end(): void {
    for (const session of [...this.#sessions.values()]) session.forget();
  }

  /** Never throws. */
  async handle(request: Request, caller: Caller): Promise<Response> {
    const { origins } = this.#options;
    const origin = request.headers.get("origin");
    let response: Response;
    try {
      if (origin !== null && origins !== "*" && !origins(origin)) throw new EngineRefusal("forbidden");
      if (request.method === "OPTIONS") response = preflight(request);
      else {
        const query = new URL(request.url).searchParams;
        requireQuery(query);
        const sid = query.get("sid") ?? "";
        const session = this.#find(sid);
        if (sid !== "" && session === undefined) {
          const answer = this.#options.elsewhere?.(request, sid, caller);
          if (answer === undefined) throw new EngineRefusal("unknown_session");
          return await answer;
        }
        // from here on nothing may touch the answer
        if (query.get("transport") === "websocket") return this.#upgrade(request, caller, session);
        response = new Response(await this.#answer(request, caller, session), { headers: TEXT });
      }
    } catch (fault) {
      await held(this.#options.tarpit, fault, this.#options.log);
      response = this.#refuse(fault);
    }
    for (const [name, value] of corsHeaders(origins, origin)) response.headers.set(name, value);
    return response;
  }

  /** A session that goes on by a WebSocket is known to that alone once it has ended. */
  #find(sid: string): Session | undefined {
    const session = this.#sessions.get(sid);
    return session?.hasEnded === true && session.transport === "websocket" ? undefined : session;
  }

  async #answer(request: Request, caller: Caller, session: Session | undefined): Promise<string> {
    if (session === undefined) {
      if (request.method !== "GET") throw new EngineRefusal("bad_method");
      return this.#begin(caller).open();
    }
    if (request.method === "GET") return await session.poll(request.signal);
    if (request.method !== "POST") throw new EngineRefusal("bad_method");
    await session.post(() => this.#readPayload(request));
    return "ok";
  }

  /** Bytes are sent as base64, as text: what says that it is bytes is of an older protocol. */
  async #readPayload(request: Request): Promise<string> {
    if (request.headers.get("content-type") === BYTES) throw new EngineRefusal("bad_request");
    return new TextDecoder().decode(await readBody(request, this.#options.maxFrameBytes));
  }

  /** Throws what its user says. */
  #begin(caller: Caller): Session {
    const random = crypto.getRandomValues(new Uint8Array(SID_BYTES));
    const sid = this.#options.sidPrefix + random.toBase64({ alphabet: "base64url" });
    const session = new Session(sid, this.#options, () => {
      this.#sessions.delete(sid);
      if (this.#sessions.size === 0) this.#emptied?.();
    });
    session.listener = this.#options.accept(session, caller);
    this.#sessions.set(sid, session);
    return session;
  }

  #upgrade(request: Request, caller: Caller, found: Session | undefined): Response {
    requireUpgrade(request);
    const session = found ?? this.#begin(caller);
    return upgradeOf(request, new SessionSocket(session, caller.peer, this.#options, found === undefined));
  }

  #refuse(fault: unknown): Response {
    if (fault instanceof EngineRefusal) return fault.toResponse();
    const requestId = newRequestId();
    const told = fault instanceof ChatError ? fault : new ChatError("internal");
    if (told !== fault) logFault(this.#options.log, "socketio.fault", fault, { requestId });
    return told.toResponse(requestId);
  }
}

function requireQuery(query: URLSearchParams): void {
  const transport = query.get("transport");
  if (transport !== "polling" && transport !== "websocket") throw new EngineRefusal("unknown_transport");
  if (query.get("EIO") !== VERSION) throw new EngineRefusal("unsupported_version");
}

/** The last step, and all that there is between the upgrade and its response. */
export function upgradeOf(
  request: Request,
  socket: { attach(socket: WebSocket): void; abandon(): void },
): Response {
  let upgrade: Deno.WebSocketUpgrade;
  try {
    upgrade = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  } catch {
    socket.abandon();
    throw new EngineRefusal("bad_request");
  }
  socket.attach(upgrade.socket);
  return upgrade.response;
}

export function requireUpgrade(request: Request): void {
  try {
    requireHandshake(request);
  } catch {
    throw new EngineRefusal("bad_request");
  }
}
