/** A REST client of tests: fetch, with the token and a deadline, and answers as they are. */
import { withDeadline } from "./deadline.ts";

const ANSWER_MS = 60_000;

export interface RestAnswer {
  status: number;
  headers: Headers;
  // deno-lint-ignore no-explicit-any -- answers are checked against the published schemas, and here by their fields
  body: any;
}

export class RestClient {
  readonly #url: string;
  readonly #token: string | undefined;

  constructor(url: string, token: string | undefined) {
    this.#url = url;
    this.#token = token;
  }

  get(path: string): Promise<RestAnswer> {
    return this.request("GET", path);
  }
  post(path: string, body?: unknown): Promise<RestAnswer> {
    return this.request("POST", path, body);
  }
  put(path: string, body?: unknown): Promise<RestAnswer> {
    return this.request("PUT", path, body);
  }
  patch(path: string, body?: unknown): Promise<RestAnswer> {
    return this.request("PATCH", path, body);
  }
  delete(path: string): Promise<RestAnswer> {
    return this.request("DELETE", path);
  }

  /** `path` under /api/chat, unless it starts with two slashes. */
  async request(method: string, path: string, body?: unknown): Promise<RestAnswer> {
    const ending = new AbortController();
    const asked = this.#ask(method, path, body, ending.signal);
    try {
      return await withDeadline(asked, ANSWER_MS, () => `the answer to ${method} ${path}`);
    } finally {
      ending.abort();
    }
  }

  async #ask(method: string, path: string, body: unknown, signal: AbortSignal): Promise<RestAnswer> {
    const response = await fetch(
      path.startsWith("//") ? this.#url + path.slice(1) : `${this.#url}/api/chat${path}`,
      {
        method,
        headers: {
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
      },
    );
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
  }
}
