/**
 * One subscription over Upstash's REST: a response of server-sent events that never ends. `data: subscribe,<topic>,1`
 * comes first, then `data: message,<topic>,<text>` for each publication; a text is one line. Whatever ends it, a clean
 * end too, is told once: nobody else would notice.
 */
import { TIMEOUT_MS } from "./upstash_fault.ts";

/** A line that does not end is cut here. */
const LINE_CHARS_MAX = 32 * 1024 * 1024;

export interface UpstashStreamInit {
  url: string;
  token: string;
  topic: string;
  onText: (text: string) => void;
  /** Not after `close`. */
  onEnd: (fault: unknown) => void;
}

export class UpstashStream {
  /** Settles once publications are heard; rejects if that takes too long. */
  readonly opened: Promise<void>;
  readonly #init: UpstashStreamInit;
  readonly #abort = new AbortController();
  readonly #heard = Promise.withResolvers<void>();
  #isClosed = false;

  constructor(init: UpstashStreamInit) {
    this.#init = init;
    this.opened = this.#heard.promise;
    this.opened.catch(() => {}); // also told by onEnd
    void this.#run();
  }

  close(): void {
    this.#isClosed = true;
    this.#abort.abort();
    this.#heard.reject(new Error("The subscription was closed"));
  }

  async #run(): Promise<void> {
    const timer = setTimeout(
      () => this.#abort.abort(new DOMException("No subscription", "TimeoutError")),
      TIMEOUT_MS,
    );
    void this.opened.finally(() => clearTimeout(timer)).catch(() => {});
    try {
      await this.#read(await this.#ask());
      throw new Error("Upstash ended a subscription");
    } catch (fault) {
      if (this.#isClosed) return;
      this.close();
      this.#init.onEnd(fault);
    }
  }

  async #ask(): Promise<ReadableStream<Uint8Array>> {
    const { url, token, topic } = this.#init;
    const response = await fetch(`${url}/subscribe/${encodeURIComponent(topic).replaceAll("%3A", ":")}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream", "Cache-Control": "no-cache" },
      signal: this.#abort.signal,
    });
    const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream") === true;
    if (response.ok && isStream && response.body !== null) return response.body;
    await response.body?.cancel();
    throw new Error(`Upstash answered a subscription with status ${response.status}`);
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of body) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LINE_CHARS_MAX) throw new Error("Upstash sent a line without an end");
      for (const line of lines) if (!this.#isClosed) this.#take(line.replace(/\r$/, ""));
    }
  }

  #take(line: string): void {
    if (!line.startsWith("data:")) return;
    const data = line.slice(line.startsWith("data: ") ? 6 : 5);
    const message = `message,${this.#init.topic},`;
    if (data.startsWith(message)) this.#init.onText(data.slice(message.length));
    else if (data.startsWith(`subscribe,${this.#init.topic},`)) this.#heard.resolve();
  }
}
