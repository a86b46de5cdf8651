/**
 * A TCP proxy in front of one dependency of one node. It passes, delays, refuses (`cut`: connections end, new ones are
 * refused), stands still (`stall`: nothing is read, all of it comes later) or swallows (`hole`: all is read, nothing
 * arrives, nobody is told; the end of it resets whoever lost something).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { steadyPort } from "./ports.ts";

export type Mode = "pass" | "cut" | "stall" | "hole";

/** What a link has turned out to be: a Redis connection that has subscribed to something. */
type LinkKind = "plain" | "subscriber";

/** Changes what the server says on its way to the client, of one link. */
export type Mangler = (piece: Uint8Array, pass: (piece: Uint8Array) => void) => void;

export interface FaultProxyOptions {
  target: { hostname: string; port: number };
  mangler?: () => Mangler;
}

export class FaultProxy implements AsyncDisposable {
  readonly port = steadyPort();
  readonly #options: FaultProxyOptions;
  #target: FaultProxyOptions["target"];
  readonly #links = new Set<Link>();
  readonly #work = new Set<Promise<unknown>>();
  #listener: Deno.TcpListener | undefined;
  #mode: Mode = "pass";
  /** Of each piece, both ways. */
  delayMs = 0;
  /** Pieces that came from clients: as many as there were waits for an answer, where one waits for another. */
  asked = 0;
  #only: LinkKind | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#target = options.target;
    this.#listen();
  }

  /** In front of the server of this URL. */
  static to(url: string, options: Omit<FaultProxyOptions, "target"> = {}): FaultProxy {
    const { hostname, port } = new URL(url);
    return new FaultProxy({ ...options, target: { hostname, port: Number(port) } });
  }

  /** For HTTP. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The same URL by way of the proxy. */
  through(url: string): string {
    const passing = new URL(url);
    passing.hostname = "127.0.0.1";
    passing.port = String(this.port);
    return passing.href;
  }

  /** Where new connections go from now on; those there are end. */
  lead(url: string): void {
    const { hostname, port } = new URL(url);
    this.#target = { hostname, port: Number(port) };
    this.cutLinks();
  }

  /** For links of all kinds or of one, those there are and those that come. */
  set(mode: Mode, only?: LinkKind): void {
    this.#mode = mode;
    this.#only = only;
    if (mode === "cut") {
      this.#listener?.close();
      this.#listener = undefined;
      this.cutLinks();
    } else if (this.#listener === undefined) this.#listen();
    if (mode === "pass") this.thawLinks();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Ends all connections; new ones work. */
  cutLinks(): void {
    for (const link of this.#links) link.close();
  }

  /** The links there are stand still or are swallowed from now on, whatever the mode; new ones work. */
  freezeLinks(mode: "stall" | "hole"): void {
    for (const link of this.#links) link.own = mode;
  }

  thawLinks(): void {
    for (const link of this.#links) {
      link.own = undefined;
      if (link.hasLost) link.close();
    }
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #modeOf(link: Link): Mode {
    if (link.own !== undefined) return link.own;
    return this.#only === undefined || this.#only === link.kind ? this.#mode : "pass";
  }

  #listen(): void {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: this.port });
    this.#own(this.#accept(this.#listener));
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for await (const client of listener) this.#own(this.#carry(client));
  }

  async #carry(client: Deno.TcpConn): Promise<void> {
    client.setNoDelay(true);
    const link = new Link(client);
    this.#links.add(link);
    try {
      if (!await this.#passes(link)) {
        await swallow(client); // as of a machine that is gone
        return;
      }
      const server = await Deno.connect(this.#target);
      server.setNoDelay(true);
      link.add(server);
      await Promise.all([
        this.#pump(link, client, server, (piece, pass) => {
          this.asked++;
          pass(piece);
        }),
        this.#pump(link, server, client, this.#options.mangler?.() ?? unchanged),
      ]);
    } finally {
      link.close();
      this.#links.delete(link);
    }
  }

  /** False if what has come is to be swallowed. */
  async #passes(link: Link): Promise<boolean> {
    while (!link.isClosed && this.#modeOf(link) === "stall") {
      await Promise.race([this.#changed.promise, link.ended]);
    }
    return this.#modeOf(link) !== "hole";
  }

  async #pump(link: Link, from: Deno.TcpConn, to: Deno.TcpConn, mangler: Mangler): Promise<void> {
    let written: Promise<unknown> = Promise.resolve();
    const pass = (piece: Uint8Array): void => {
      const late = this.delayMs > 0 ? sleep(this.delayMs) : undefined;
      written = written.then(() => late).then(() => writeAll(to, piece)).catch(() => link.close());
    };
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
        const piece = buffer.slice(0, count);
        if (saysSubscribe(piece)) link.kind = "subscriber";
        if (await this.#passes(link)) mangler(piece, pass);
        else link.hasLost = true;
        if (this.delayMs === 0) await written;
      }
      await written;
    } catch {
      // the other direction has closed it
    } finally {
      link.close();
    }
  }

  #own(work: Promise<unknown>): void {
    const owned = work.catch(() => {}).finally(() => this.#work.delete(owned));
    this.#work.add(owned);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.set("cut");
    while (this.#work.size > 0) await Promise.all(this.#work);
  }
}

class Link {
  kind: LinkKind = "plain";
  /** Beside the proxy's mode. */
  own: "stall" | "hole" | undefined;
  hasLost = false;
  readonly ended: Promise<void>;
  readonly #ends: Deno.TcpConn[];
  #end: () => void;
  isClosed = false;

  constructor(client: Deno.TcpConn) {
    this.#ends = [client];
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  add(server: Deno.TcpConn): void {
    this.#ends.push(server);
    if (this.isClosed) server.close();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.own = undefined;
    for (const end of this.#ends) end.close();
    this.#end();
  }
}

const unchanged: Mangler = (piece, pass) => pass(piece);

async function writeAll(to: Deno.TcpConn, piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.length;) done += await to.write(piece.subarray(done));
}

async function swallow(from: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  while (await from.read(buffer) !== null);
}

const decoder = new TextDecoder("latin1");
const saysSubscribe = (piece: Uint8Array): boolean =>
  /\r\nS?SUBSCRIBE\r\n/i.test(decoder.decode(piece.subarray(0, 256)));
