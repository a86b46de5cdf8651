/**
 * Several machines behind one address, without sticky sessions: a session lives on the machine that made it, and its sid
 * names that. A request that lands elsewhere is sent there by Fly's proxy, or by us if we know the machine's address; only
 * addresses of our own configuration, and once.
 */
import { describeFault } from "../log.ts";
import { ChatError } from "../protocol/errors.ts";
import type { Caller } from "../sockets/caller.ts";
import type { SocketUses } from "../sockets/framed_socket.ts";
import { Bridge, reach } from "./bridge.ts";
import { requireUpgrade, upgradeOf } from "./engine/engine.ts";
import { EngineRefusal } from "./engine/refusals.ts";

export interface MachinesOptions extends SocketUses {
  name: string | undefined;
  /** The name of a machine that has none. */
  fallback: string;
  isOnFly: boolean;
  peers: ReadonlyMap<string, string>;
}

const END = ".";
const NAME = /^[A-Za-z0-9-]{1,32}$/;
/** Whoever has been sent on once is not sent on again. */
const PASSED_ON = "x-scroll-passed-on";
const REPLAYED = "fly-replay-src";
const PASSED_HEADERS = ["origin", "content-type"];
const HINT =
  "The session may be another machine's. Let the balancer keep a client on one machine, or set NODE_NAME and " +
  'PEER_ADDRESSES on each, or have clients use { transports: ["websocket"] }';

export class Machines {
  readonly #options: MachinesOptions;
  readonly #name: string;
  readonly #bridges = new Set<Bridge>();

  constructor(options: MachinesOptions) {
    this.#options = options;
    this.#name = options.name ?? options.fallback;
  }

  get sidPrefix(): string {
    return this.#name + END;
  }

  /** Undefined for a session of this machine, and for what names none. Rejects where it can be had by nobody from here. */
  answer(request: Request, sid: string, caller: Caller): Promise<Response> | undefined {
    const end = sid.indexOf(END);
    const name = sid.slice(0, end);
    if (end < 0 || name === this.#name || !NAME.test(name)) return undefined;
    return this.#answer(request, name, caller);
  }

  /** The node goes away: those whose sessions are elsewhere come back by another one. */
  drain(): void {
    for (const bridge of [...this.#bridges]) bridge.close();
  }

  async #answer(request: Request, name: string, caller: Caller): Promise<Response> {
    const { isOnFly, peers, log } = this.#options;
    if (isOnFly && !request.headers.has(REPLAYED)) {
      return new Response(null, { status: 409, headers: { "fly-replay": `instance=${name}` } });
    }
    const peer = peers.get(name);
    if (peer === undefined || request.headers.has(PASSED_ON)) {
      throw new EngineRefusal("unknown_session", HINT);
    }
    const { pathname, search, searchParams } = new URL(request.url);
    try {
      return searchParams.get("transport") === "websocket"
        ? await this.#bridge(request, peer.replace(/^http/, "ws") + pathname + search, caller)
        : await this.#passOn(request, peer + pathname + search);
    } catch (fault) {
      if (fault instanceof EngineRefusal) throw fault;
      if (!request.signal.aborted) log.warn("socketio.peer_unreached", { name, ...describeFault(fault) });
      throw new ChatError("unavailable", "The machine of this session is not reached");
    }
  }

  async #passOn(request: Request, url: string): Promise<Response> {
    const headers = new Headers({ [PASSED_ON]: this.#name });
    for (const name of PASSED_HEADERS) {
      const value = request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const { method, body, signal } = request;
    const response = await fetch(url, { method, headers, body, signal, redirect: "manual" });
    return new Response(response.body, response);
  }

  async #bridge(request: Request, url: string, caller: Caller): Promise<Response> {
    requireUpgrade(request);
    const remote = await reach(url, { [PASSED_ON]: this.#name });
    const bridge: Bridge = new Bridge(remote, caller.peer, this.#options, () => this.#bridges.delete(bridge));
    this.#bridges.add(bridge);
    return upgradeOf(request, bridge);
  }
}
