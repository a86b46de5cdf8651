/** REST as one user: what a replay does beside the sockets. Passing refusals are tried again. */
import { Refusal, retrying, toRefusal } from "./refusal.ts";

const ANSWER_WITHIN_MS = 30_000;

export class Rest {
  readonly #serverUrl: string;
  readonly #token: string;
  readonly #onRetry: (code: string) => void;

  constructor(serverUrl: string, token: string, onRetry: (code: string) => void) {
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
      const headers = { ...init.headers, authorization: `Bearer ${this.#token}` };
      const response = await fetch(url, { ...init, headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      const text = await response.text();
      if (response.ok) return JSON.parse(text) as T;
      throw refusalOf(response.status, text);
    }, this.#onRetry);
  }
}

function refusalOf(status: number, text: string): Refusal {
  try {
    return toRefusal((JSON.parse(text) as { error: unknown }).error);
  } catch {
    return new Refusal(`http_${status}`, text.slice(0, 200));
  }
}
