/**
 * Files in a bucket of any S3-compatible server (Tigris, R2, MinIO, S3). What fits into one part is put with one request;
 * more goes up in parts of 5 MiB, one in memory for each put, and is there whole once they are joined. A put that fails
 * takes its parts back; those of a killed node are found by their age. Requests and retries: s3_request.ts.
 */
import { describeFault, type Log } from "../log.ts";
import {
  assertKey,
  type ByteRange,
  FileMissing,
  type FileStore,
  type StoredFile,
  StoreUnavailable,
} from "./file_store.ts";
import { PartBuffer } from "./part_buffer.ts";
import { blocks, OutOfRange, type S3Options, S3Requests, tag, tags } from "./s3_request.ts";
import { pulled, untilAborted } from "./streams.ts";
import { Turns } from "./turns.ts";

/** The least that S3 takes for a part that is not the last. */
const PART_BYTES = 5 * 1024 * 1024;
/** Parts on their way at once, of all puts: fetch copies each. */
const SENDING_MAX = 2;
const DELETING_MAX = 8;
/** Taking back must work after the client has gone, and be over when the node drains. */
const CLEAN_UP_MS = 10_000;

export interface S3FilesOptions extends S3Options {
  /** Of keys: several deployments may share a bucket. Empty, or ends in a slash. */
  readonly prefix: string;
  /** Of a listing. */
  readonly pageSize?: number;
}

export class S3Files implements FileStore {
  readonly kind = "s3";
  readonly #requests: S3Requests;
  readonly #prefix: string;
  readonly #pageSize: number;
  readonly #log: Log;
  readonly #sending = new Turns(SENDING_MAX);
  readonly #ownUploads = new Set<string>();

  constructor(options: S3FilesOptions, log: Log) {
    this.#requests = new S3Requests(options);
    this.#prefix = options.prefix;
    this.#pageSize = options.pageSize ?? 1_000;
    this.#log = log;
  }

  async put(
    key: string,
    body: AsyncIterable<Uint8Array>,
    { signal, mimeType }: { signal: AbortSignal; mimeType: string },
  ): Promise<{ bytes: number }> {
    using part = new PartBuffer(PART_BYTES);
    const target = { key: this.#keyOf(key), headers: { "content-type": mimeType }, signal };
    let upload: Upload | undefined;
    let bytes = 0;
    try {
      for await (const piece of untilAborted(body, signal)) {
        for (let at = 0; at < piece.length;) {
          // only when more comes, so that a file of exactly one part is no upload of parts
          if (part.isFull) {
            upload ??= await this.#begin(target);
            await this.#sendPart(upload, part, signal);
          }
          at += part.fill(piece.subarray(at));
        }
        bytes += piece.length;
      }
      if (upload === undefined) {
        await this.#send(signal, () => this.#requests.text({ ...target, method: "PUT", body: part }));
      } else {
        await this.#sendPart(upload, part, signal);
        await this.#join(upload, bytes, signal);
      }
      return { bytes };
    } catch (error) {
      await this.#takeBack(target.key, upload);
      throw error;
    } finally {
      if (upload !== undefined) this.#ownUploads.delete(upload.id);
    }
  }

  async get(
    key: string,
    range: ByteRange | undefined,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<ReadableStream<Uint8Array>> {
    const isEmpty = range !== undefined && range.end <= range.start;
    const response = await this.#requests.open({
      method: "GET",
      key: this.#keyOf(key),
      headers: range === undefined
        ? {}
        : { range: `bytes=${range.start}-${isEmpty ? range.start : range.end - 1}` },
      signal,
    }).catch((error) => {
      if (error instanceof OutOfRange) return undefined;
      throw error instanceof FileMissing ? new FileMissing(key) : error;
    });
    if (response === undefined || isEmpty) {
      await response?.body?.cancel();
      return ReadableStream.from([]);
    }
    if (range !== undefined && response.status !== 206) {
      await response.body?.cancel();
      throw new StoreUnavailable("The store does not answer ranges");
    }
    return this.#readable(response, range === undefined ? Infinity : range.end - range.start, signal);
  }

  /** A store that stops in the middle is an error and no end of the file (fetch itself knows an answer that is cut off). */
  #readable(response: Response, bytesMax: number, signal: AbortSignal): ReadableStream<Uint8Array> {
    const reader = (response.body ?? ReadableStream.from<Uint8Array>([])).getReader();
    let read = 0;
    return pulled(async () => {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const leave = (): void => reject(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
      const timer = setTimeout(
        () => reject(new StoreUnavailable("The store stands still")),
        this.#requests.timeoutMs,
      );
      try {
        signal.throwIfAborted();
        const { value } = await Promise.race([reader.read(), late]).catch((error) => {
          signal.throwIfAborted();
          throw error instanceof StoreUnavailable
            ? error
            : new StoreUnavailable("The store broke off", { cause: error });
        });
        read += value?.length ?? 0;
        if (read > bytesMax) throw new StoreUnavailable("The store sent more than it was asked for");
        return value;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", leave);
      }
    }, () => reader.cancel().catch(() => {}));
  }

  /** One by one, eight at once: every server knows this, and it may be repeated. */
  async delete(keys: readonly string[]): Promise<void> {
    const signal = new AbortController().signal;
    const left = [...keys];
    const work = async (): Promise<void> => {
      for (let key = left.pop(); key !== undefined; key = left.pop()) {
        await this.#requests.text({ method: "DELETE", key: this.#keyOf(key), signal }).catch((error) => {
          if (!(error instanceof FileMissing)) throw error;
        });
      }
    };
    await Promise.all(Array.from({ length: Math.min(DELETING_MAX, keys.length) }, work));
  }

  async *list(): AsyncGenerator<StoredFile> {
    let token: string | undefined;
    do {
      const { text } = await this.#requests.text({
        method: "GET",
        query: {
          "list-type": "2",
          "max-keys": String(this.#pageSize),
          "prefix": this.#prefix,
          ...(token === undefined ? {} : { "continuation-token": token }),
        },
        signal: new AbortController().signal,
      });
      for (const entry of blocks(text, "Contents")) {
        const key = tag(entry, "Key")?.slice(this.#prefix.length) ?? "";
        yield {
          key,
          bytes: Number(tag(entry, "Size")),
          modifiedAt: new Date(tag(entry, "LastModified") ?? 0),
        };
      }
      token = tag(text, "IsTruncated") === "true" ? tag(text, "NextContinuationToken") : undefined;
    } while (token !== undefined);
  }

  /** Servers that cannot list uploads have to end them by themselves (a lifecycle rule). */
  async removeUnfinished(olderThan: Date): Promise<number> {
    const signal = new AbortController().signal;
    const ask = { method: "GET", query: { uploads: "", prefix: this.#prefix }, signal } as const;
    const { text } = await this.#requests.text(ask);
    let removed = 0;
    for (const entry of blocks(text, "Upload")) {
      const [key = "", id = ""] = [tag(entry, "Key"), tag(entry, "UploadId")];
      const begunAt = new Date(tag(entry, "Initiated") ?? NaN);
      if (!key.startsWith(this.#prefix) || !(begunAt < olderThan) || this.#ownUploads.has(id)) continue;
      if (await this.#abort({ id, key })) removed++;
    }
    return removed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #keyOf(key: string): string {
    assertKey(key);
    return this.#prefix + key;
  }

  /** If its answer is lost, an upload nobody knows stays open: removeUnfinished() finds it. */
  async #begin(
    target: { key: string; headers: Record<string, string>; signal: AbortSignal },
  ): Promise<Upload> {
    const { text } = await this.#requests.text({ ...target, method: "POST", query: { uploads: "" } });
    const id = tag(text, "UploadId");
    if (id === undefined || id === "") throw new StoreUnavailable("The store began no upload");
    this.#ownUploads.add(id);
    return { id, key: target.key, etags: [] };
  }

  async #sendPart(upload: Upload, part: PartBuffer, signal: AbortSignal): Promise<void> {
    const query = { partNumber: String(upload.etags.length + 1), uploadId: upload.id };
    const ask = { method: "PUT", key: upload.key, query, body: part, signal } as const;
    const { headers } = await this.#send(signal, () => this.#requests.text(ask));
    upload.etags.push(headers.get("etag") ?? "");
    part.clear();
  }

  async #send<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    using _turn = await this.#sending.take(signal);
    return await work();
  }

  /** Joining may take long and fail under a 200; joined twice, the second answer is that there is no such upload. */
  async #join({ id, key, etags }: Upload, bytes: number, signal: AbortSignal): Promise<void> {
    const parts = etags.map((etag, i) =>
      `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag.replaceAll('"', "&quot;")}</ETag></Part>`
    );
    using body = new PartBuffer(PART_BYTES);
    body.fill(
      new TextEncoder().encode(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`),
    );
    const ask = { method: "POST", key, query: { uploadId: id }, body, signal } as const;
    const fault = await this.#requests.text(ask).then(({ text }) => {
      const code = tags(text, "Code")[0];
      return code === undefined ? undefined : new StoreUnavailable(`The store joined no parts: ${code}`);
    }, (error) => error);
    if (fault === undefined) return;
    signal.throwIfAborted();
    const stored = await this.#requests.text({ method: "HEAD", key, signal }).catch(() => undefined);
    if (Number(stored?.headers.get("content-length") ?? -1) !== bytes) throw fault;
  }

  /** Also the file itself: an attempt whose answer was lost may have stored it. */
  async #takeBack(key: string, upload: Upload | undefined): Promise<void> {
    const signal = AbortSignal.timeout(CLEAN_UP_MS);
    if (upload !== undefined) await this.#abort(upload);
    await this.#requests.text({ method: "DELETE", key, signal }).catch((error) => {
      if (!(error instanceof FileMissing)) this.#log.warn("files.not_taken_back", describeFault(error));
    });
  }

  async #abort({ id, key }: { id: string; key: string }): Promise<boolean> {
    const signal = AbortSignal.timeout(CLEAN_UP_MS);
    try {
      await this.#requests.text({ method: "DELETE", key, query: { uploadId: id }, signal });
      return true;
    } catch (error) {
      if (error instanceof FileMissing || /NoSuchUpload/.test(String(error))) return true;
      this.#log.warn("files.upload_left_open", describeFault(error));
      return false;
    }
  }
}

interface Upload {
  id: string;
  /** With the prefix. */
  key: string;
  etags: string[];
}
