/**
 * clamav-rest as its documentation and answers have it (github.com/ajilach/clamav-rest), in front of a real clamd: POST
 * /v2/scan, multipart, an entry a file, and the worst status. With it come the ways in which it can fail. One oddity is
 * kept: when clamd cannot be reached, it says 413 of every file.
 */
import type { Clamd } from "./clamd.ts";

/** What it does instead of its work, for as long as it is set. */
export type ScannerFault =
  | { is: "none" }
  /** Works, but answers so much later. */
  | { is: "slow"; ms: number }
  | { is: "status"; status: number; body: string }
  /** Cuts the connection when so many bytes have come. */
  | { is: "reset"; afterBytes: number }
  /** Reads, and never answers. */
  | { is: "silent" }
  /** Says OK of everything. */
  | { is: "lying" };

interface Entry {
  Status: string;
  Description: string;
  FileName: string;
}

const STATUS: Record<string, number> = { OK: 200, FOUND: 406, ERROR: 400 };

export class ClamavRest implements AsyncDisposable {
  fault: ScannerFault = { is: "none" };
  /** Questions that came, those that failed included, and how many were there at once at most. */
  asked = 0;
  atOnceMax = 0;
  #atOnce = 0;
  readonly #clamd: Clamd;
  readonly #ending = new AbortController();
  #cut = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  readonly #port: number;

  constructor(clamd: Clamd, port = 0) {
    this.#clamd = clamd;
    this.#server = this.#serve(port);
    this.#port = this.#server.addr.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Cuts all connections; nobody listens until up(). */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#cut.abort();
    await server?.finished;
  }

  up(): void {
    this.#server ??= this.#serve(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.down();
  }

  #serve(port: number): Deno.HttpServer<Deno.NetAddr> {
    this.#cut = new AbortController();
    const { signal } = this.#cut;
    return Deno.serve({ hostname: "127.0.0.1", port, signal, onListen: () => {} }, async (request) => {
      this.asked++;
      this.atOnceMax = Math.max(this.atOnceMax, ++this.#atOnce);
      try {
        return await this.#answer(request);
      } finally {
        this.#atOnce--;
      }
    });
  }

  async #answer(request: Request): Promise<Response> {
    const { fault } = this;
    if (fault.is === "status") {
      await request.body?.cancel();
      return new Response(fault.body, { status: fault.status });
    }
    if (request.method !== "POST" || new URL(request.url).pathname !== "/v2/scan") {
      return new Response("404 page not found\n", { status: 404 });
    }
    if (fault.is === "reset") return await this.#reset(request, fault.afterBytes);
    const form = await request.formData().catch(() => undefined); // memory does not matter here
    if (form === undefined) {
      return new Response("request Content-Type isn't multipart/form-data", { status: 500 });
    }
    if (fault.is === "silent") await this.#forever(request.signal);
    if (fault.is === "slow") await this.#wait(fault.ms);
    const entries: Entry[] = [];
    for (const [, value] of form) entries.push(await this.#scan(value));
    const statuses = entries.map(({ Status, Description }) => statusOf(Status, Description));
    const status = statuses.includes(406) ? 406 : statuses.findLast((each) => each !== 200) ?? 200;
    return Response.json(entries, { status });
  }

  async #scan(value: FormDataEntryValue): Promise<Entry> {
    if (typeof value === "string") {
      return { Status: "ERROR", Description: "MimePart FileName missing", FileName: "" };
    }
    if (this.fault.is === "lying") return { Status: "OK", Description: "", FileName: value.name };
    const said = await this.#clamd.scan(value.stream()).catch(() => "");
    if (said === "" || said.includes("size limit exceeded")) {
      return { Status: "PARSE ERROR", Description: "File size limit exceeded", FileName: value.name };
    }
    const [, what = "", word = "OK"] = /^(?:(.*) )?(OK|FOUND|ERROR)$/.exec(said) ?? ["", said, "ERROR"];
    return { Status: word, Description: what, FileName: value.name };
  }

  async #reset(request: Request, afterBytes: number): Promise<Response> {
    let read = 0;
    for await (const piece of request.body ?? []) {
      read += piece.length;
      if (read >= afterBytes) break;
    }
    await Promise.race([this.down(), this.#wait(0)]); // this answer is one of those that it would wait for
    this.up();
    return new Response();
  }

  async #wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#ending.signal.addEventListener("abort", () => resolve());
    await promise;
    clearTimeout(timer);
  }

  async #forever(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const end of [signal, this.#ending.signal]) {
      if (end.aborted) resolve();
      end.addEventListener("abort", () => resolve());
    }
    await promise;
  }
}

function statusOf(status: string, description: string): number {
  if (status === "PARSE ERROR") return description === "File size limit exceeded" ? 413 : 412;
  return description === "MimePart FileName missing" ? 422 : STATUS[status] ?? 501;
}
