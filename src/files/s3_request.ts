/**
 * One signed request to an S3-compatible server, and what its answer means as an error of stores. Signing is aws4fetch's:
 * 10 KB without dependencies, while retries, deadlines and multi-part uploads are ours, since no client has them all.
 * Bodies are signed by their hash, so a part that was damaged on the way is refused there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AwsV4Signer } from "aws4fetch";
import { FileMissing, StoreFull, StoreUnavailable } from "./file_store.ts";

export interface S3Options {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** endpoint/bucket/key instead of bucket.endpoint/key. */
  readonly pathStyle: boolean;
  /** Of one attempt, a part's transfer included; of an answer that is streamed: between two pieces. */
  readonly timeoutMs?: number;
  readonly attempts?: number;
  readonly backoffMs?: number;
}

export interface S3Ask {
  method: "GET" | "PUT" | "POST" | "DELETE" | "HEAD";
  /** Undefined: the bucket itself. */
  key?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: { bytes: Uint8Array<ArrayBuffer>; sha256: string };
  signal: AbortSignal;
}

const DEFAULTS = { timeoutMs: 30_000, attempts: 4, backoffMs: 100 };
const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TEXT_BYTES_MAX = 4 * 1024 * 1024;
const FULL = new Set(["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge"]);

export class S3Requests {
  readonly #options: Required<S3Options>;
  readonly #base: URL;
  /** Signing keys of a day, as aws4fetch wants it. */
  readonly #keys = new Map<string, ArrayBuffer>();

  constructor(options: S3Options) {
    this.#options = { ...DEFAULTS, ...options };
    this.#base = baseOf(options);
  }

  get timeoutMs(): number {
    return this.#options.timeoutMs;
  }

  /** The whole answer as text. Tried again after what may pass, so only for what may be done twice. */
  async text(ask: S3Ask): Promise<{ text: string; headers: Headers }> {
    return await this.#retried(ask, async (signal) => {
      const response = await this.#send(ask, signal);
      return { text: await readText(response), headers: response.headers };
    });
  }

  /** The answer as it comes; tried again until it begins. Whoever takes it must read or cancel its body. */
  async open(ask: S3Ask): Promise<Response> {
    return await this.#retried(ask, (signal) => this.#send(ask, signal));
  }

  async #retried<T>(ask: S3Ask, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { attempts, backoffMs, timeoutMs } = this.#options;
    for (let attempt = 1;; attempt++) {
      const own = new AbortController();
      const timer = setTimeout(() => own.abort(new DOMException("Timed out", "TimeoutError")), timeoutMs);
      const leave = (): void => own.abort(ask.signal.reason);
      ask.signal.addEventListener("abort", leave, { once: true });
      try {
        ask.signal.throwIfAborted();
        return await work(own.signal);
      } catch (error) {
        ask.signal.throwIfAborted();
        const fault = faultOf(error, timeoutMs);
        if (!(fault instanceof Passing) || attempt >= attempts) throw fault;
      } finally {
        clearTimeout(timer);
        ask.signal.removeEventListener("abort", leave);
      }
      await sleep(backoffMs * 2 ** (attempt - 1) * (0.5 + Math.random()), undefined, { signal: ask.signal })
        .catch(() => ask.signal.throwIfAborted());
    }
  }

  /** Its signal also ends the answer's body, as long as the caller has not let it go. */
  async #send(
    { method, key, query = {}, headers = {}, body }: S3Ask,
    signal: AbortSignal,
  ): Promise<Response> {
    const url = new URL(this.#base);
    if (key !== undefined) url.pathname += key;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const { accessKeyId, secretAccessKey, region } = this.#options;
    const signed = await new AwsV4Signer({
      ...{ method, url: url.href, accessKeyId, secretAccessKey, region, service: "s3", cache: this.#keys },
      headers: { ...headers, "x-amz-content-sha256": body?.sha256 ?? EMPTY_SHA256 },
    }).sign();
    const response = await fetch(signed.url, {
      ...{ method, headers: signed.headers, redirect: "manual", signal },
      ...(body === undefined ? {} : { body: body.bytes }),
    });
    if (response.ok) return response;
    throw await refusalOf(response, key);
  }
}

/** Ends in a slash, so that a key can follow. */
export function baseOf(
  { endpoint, bucket, pathStyle }: Pick<S3Options, "endpoint" | "bucket" | "pathStyle">,
): URL {
  const base = new URL(endpoint.endsWith("/") ? endpoint : `${endpoint}/`);
  if (pathStyle) base.pathname += `${encodeURIComponent(bucket)}/`;
  else base.hostname = `${bucket}.${base.hostname}`;
  return base;
}

/** Nothing lies in the range that was asked for. */
export class OutOfRange extends Error {
  override readonly name = "OutOfRange";
}

/** May pass by itself, so it is worth another attempt. */
class Passing extends StoreUnavailable {}

const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

async function refusalOf(response: Response, key: string | undefined): Promise<Error> {
  const { status } = response;
  const code = tag(await readText(response).catch(() => ""), "Code") ?? "";
  if (status === 404 && key !== undefined && code !== "NoSuchBucket" && code !== "NoSuchUpload") {
    return new FileMissing(key);
  }
  if (status === 416) return new OutOfRange();
  if (status === 507 || FULL.has(code)) return new StoreFull("The store has no room left");
  const text = `The store answers ${status}${/^\w{1,64}$/.test(code) ? ` ${code}` : ""}`;
  return PASSING.has(status) || code === "RequestTimeout" ? new Passing(text) : new StoreUnavailable(text);
}

const OWN = [StoreUnavailable, StoreFull, FileMissing, OutOfRange];

/** Neither addresses nor headers: they are in no text that fetch throws but the address. */
function faultOf(error: unknown, timeoutMs: number): unknown {
  if (OWN.some((kind) => error instanceof kind)) return error;
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return new Passing(`The store has not answered within ${timeoutMs} ms`);
  }
  return new Passing("The connection to the store failed", { cause: error });
}

async function readText(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of response.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    if (text.length > TEXT_BYTES_MAX) throw new StoreUnavailable("The store's answer is too long");
  }
  return text;
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** All contents of a tag without children: the few that are needed here need no parser of XML. */
export function tags(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, content = ""]) =>
    content.replace(
      /&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([0-9a-f]{1,6}));/gi,
      (_, word, decimal, hex) =>
        word === undefined
          ? String.fromCodePoint(Math.min(parseInt(decimal ?? hex, hex ? 16 : 10), 0x10ffff))
          : ENTITIES[word] ?? "",
    )
  );
}

export function tag(xml: string, name: string): string | undefined {
  return tags(xml, name)[0];
}

/** All contents of a tag that has children. */
export function blocks(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, "g"))].map(([, content = ""]) =>
    content
  );
}
