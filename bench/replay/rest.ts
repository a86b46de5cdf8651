/** REST as one user: what a replay does beside the sockets. Passing refusals are tried again. */
import { describe, Refusal, retrying, toRefusal } from "./refusal.ts";

const ANSWER_WITHIN_MS = 30_000;

export class Rest {
  readonly #serverUrl: string;
  readonly #token: () => Promise<string>;
  readonly #onRetry: (code: string) => void;
  #bearer: string | undefined;

  constructor(serverUrl: string, token: () => Promise<string>, onRetry: (code: string) => void) {
    this.#serverUrl = serverUrl;
    this.#token = token;
    this.#onRetry = onRetry;
  }

  get<T>(path: string, query: Readonly<Record<string, string | number>> = {}): Promise<T> {
    const url = new URL(`/api/chat${path}`, this.#serverUrl);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
    return this.#ask<T>(url, {});
  }

  post<T>(path: string, body: unknown): Promise<T> {
    const headers = { "content-type": "application/json" };
    return this.#ask<T>(new URL(`/api/chat${path}`, this.#serverUrl), {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
  }

  #ask<T>(url: URL, init: RequestInit): Promise<T> {
    return retrying(async () => {
      const { status, text } = await this.#exchange(url, init);
      if (status >= 200 && status < 300) return JSON.parse(text) as T;
      throw refusalOf(status, text);
    }, this.#onRetry);
  }

  async #exchange(url: URL, init: RequestInit): Promise<{ status: number; text: string }> {
    this.#bearer ??= `Bearer ${await this.#token()}`;
    const headers = { ...init.headers, authorization: this.#bearer };
    try {
      const response = await fetch(url, { ...init, headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      return { status: response.status, text: await response.text() };
    } catch (fault) {
      throw new Refusal("no_answer", `${url.pathname}: ${describe(fault)}`);
    }
  }
}

function refusalOf(status: number, text: string): Refusal {
  try {
    return toRefusal((JSON.parse(text) as { error: unknown }).error);
  } catch {
    return new Refusal(`http_${status}`, text.slice(0, 200));
  }
}
