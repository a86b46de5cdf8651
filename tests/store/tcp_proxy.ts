/** A TCP proxy with faults: it can swallow an answer and cut, or turn into a black hole for what is connected. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #target: { hostname: string; port: number };
  readonly #links = new Set<Link>();
  readonly #work = new Set<Promise<void>>();
  #armed: ((link: Link) => void) | undefined;

  private constructor(target: { hostname: string; port: number }) {
    this.#target = target;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#own(this.#accept());
  }

  /** In front of the server of this URL. */
  static to(url: string): TcpProxy {
    const { hostname, port } = new URL(url);
    return new TcpProxy({ hostname, port: Number(port) });
  }

  /** The same URL by way of the proxy. */
  through(url: string): string {
    const passing = new URL(url);
    passing.hostname = "127.0.0.1";
    passing.port = String(this.#listener.addr.port);
    return passing.href;
  }

  /** The next answer of the server is swallowed, and its connection cut. Settles when that has happened. */
  cutNextAnswer(): Promise<void> {
    return new Promise((resolve) => {
      this.#armed = (link) => {
        this.#armed = undefined;
        link.close();
        resolve();
      };
    });
  }

  /** Nothing passes any more on the connections there are, and nobody is told; new ones work. */
  swallow(): void {
    for (const link of this.#links) link.silent = true;
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const server = await Deno.connect(this.#target);
      const link = new Link(client, server);
      this.#links.add(link);
      this.#own(link.carry(client, server, () => {}));
      this.#own(
        link.carry(server, client, () => this.#armed?.(link)).finally(() => this.#links.delete(link)),
      );
    }
  }

  #own(work: Promise<void>): void {
    const owned = work.catch(() => {}).finally(() => this.#work.delete(owned));
    this.#work.add(owned);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const link of this.#links) link.close();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }
}

class Link {
  silent = false;
  readonly #ends: readonly Deno.Conn[];
  #closed = false;

  constructor(...ends: Deno.Conn[]) {
    this.#ends = ends;
  }

  /** `heard` is told of every piece before it is passed on. */
  async carry(from: Deno.Conn, to: Deno.Conn, heard: () => void): Promise<void> {
    const piece = new Uint8Array(64 * 1024);
    try {
      for (let count = await from.read(piece); count !== null; count = await from.read(piece)) {
        if (this.silent) continue;
        heard();
        for (let done = 0; done < count;) done += await to.write(piece.subarray(done, count));
      }
    } finally {
      this.close();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#ends) end.close();
  }
}
