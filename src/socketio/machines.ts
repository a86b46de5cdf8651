/**
 * Several machines behind one address, without sticky sessions: a session lives on the machine that made it, and its sid
 * names that. A request that lands elsewhere is sent there by Fly's proxy, or by us if we know the machine's address; only
 * addresses of our own configuration, and once.
 */
import { describeFault, type Log } from "../log.ts";
import { ChatError } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/ids.ts";
import { EngineRefusal } from "./engine/refusals.ts";

export interface MachinesOptions {
  name: string | undefined;
  /** The name of a machine that has none. */
  fallback: string;
  isOnFly: boolean;
  peers: ReadonlyMap<string, string>;
  log: Log;
}

const END = ".";
/** Whoever has been sent on once is not sent on again. */
const PASSED_ON = "x-scroll-passed-on";
const REPLAYED = "fly-replay-src";
const HEADERS_THERE = ["origin", "content-type"];
const HINT =
  "The session may be another machine's. Let the balancer keep a client on one machine, or set NODE_NAME " +
  'and PEER_ADDRESSES, or have clients use { transports: ["websocket"] }';

export class Machines {
  readonly #options: MachinesOptions;
  readonly #name: string;

  constructor(options: MachinesOptions) {
    this.#options = options;
    this.#name = options.name ?? options.fallback;
  }

  get sidPrefix(): string {
    return this.#name + END;
  }

  /** Undefined for a session of this machine, and for what names none. Throws where it can be had by nobody from here. */
  answer(request: Request, sid: string): Promise<Response> | undefined {
    const end = sid.indexOf(END);
    const name = sid.slice(0, end);
    if (end < 0 || name === this.#name || !/^[A-Za-z0-9-]{1,32}$/.test(name)) return undefined;
    const { isOnFly, peers } = this.#options;
    if (isOnFly && !request.headers.has(REPLAYED)) {
      return Promise.resolve(
        new Response(null, { status: 409, headers: { "fly-replay": `instance=${name}` } }),
      );
    }
    const peer = peers.get(name);
    if (peer === undefined || request.headers.has(PASSED_ON)) {
      throw new EngineRefusal("unknown_session", HINT);
    }
    return this.#passOn(request, peer);
  }

  async #passOn(request: Request, peer: string): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const headers = new Headers({ [PASSED_ON]: this.#name });
    for (const name of HEADERS_THERE) {
      const value = request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    try {
      const response = await fetch(peer + pathname + search, {
        method: request.method,
        headers,
        body: request.body,
        signal: request.signal,
        redirect: "manual",
      });
      return new Response(response.body, response);
    } catch (fault) {
      if (!request.signal.aborted) this.#options.log.warn("socketio.peer_unreached", describeFault(fault));
      return new ChatError("unavailable", "The machine of this session is not reached").toResponse(
        newRequestId(),
      );
    }
  }
}
