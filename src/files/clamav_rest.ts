/**
 * One question to clamav-rest (github.com/ajilach/clamav-rest): POST /v2/scan, multipart, field `file`. It answers an
 * array with an entry a file, and the worst status: 200 OK, 406 FOUND, 400 error, 412 not to be parsed, 413 too large
 * (also of any file when clamd is gone), 422, 501. Whatever does not read like that is no verdict. When to ask again is
 * decided in antivirus.ts.
 */

export type Verdict = { is: "clean" } | { is: "infected"; signature: string };

/** No verdict. `isAboutTheFile`: perhaps the scanner will never take this one. */
export class ScanFailed extends Error {
  override readonly name = "ScanFailed";
  constructor(message: string, readonly isAboutTheFile: boolean, options?: ErrorOptions) {
    super(message, options);
  }
}

const ABOUT_THE_FILE = new Set([400, 412, 413, 422, 501]);
const ANSWER_BYTES_MAX = 64 * 1024;
const SIGNATURE_MAX = 200;

/** Throws ScanFailed, or what `open` and the file's stream throw. */
export async function askToScan(
  { url, timeoutMs }: { url: string; timeoutMs: number },
  file: { open: () => Promise<ReadableStream<Uint8Array>>; bytes: number; signal: AbortSignal },
): Promise<Verdict> {
  using deadline = deadlineOf(timeoutMs, file.signal);
  const body = multipart(await file.open(), file.bytes);
  try {
    const response = await fetch(`${url.replace(/\/+$/, "")}/v2/scan`, {
      method: "POST",
      body: body.stream,
      headers: { "content-type": `multipart/form-data; boundary=${body.boundary}` },
      redirect: "error",
      signal: deadline.signal,
    });
    return verdictOf(response.status, await readAnswer(response));
  } catch (error) {
    file.signal.throwIfAborted();
    if (body.fault !== undefined) throw body.fault;
    if (error instanceof ScanFailed) throw error;
    const text = deadline.signal.aborted ? `no answer within ${timeoutMs} ms` : "the connection failed";
    throw new ScanFailed(text, false, { cause: error });
  } finally {
    await body.close();
  }
}

function deadlineOf(ms: number, signal: AbortSignal): Disposable & { signal: AbortSignal } {
  const timer = new AbortController();
  const id = setTimeout(() => timer.abort(new DOMException("Timed out", "TimeoutError")), ms);
  return { signal: AbortSignal.any([signal, timer.signal]), [Symbol.dispose]: () => clearTimeout(id) };
}

interface Multipart {
  boundary: string;
  stream: ReadableStream<Uint8Array>;
  /** What the file's own stream threw: not the scanner's fault. */
  fault: unknown;
  close(): Promise<void>;
}

/** Neither name nor type of the file goes to the scanner: it looks at bytes, and a name could break the form. */
function multipart(file: ReadableStream<Uint8Array>, bytes: number): Multipart {
  const boundary = `scroll-chat-${crypto.randomUUID()}`;
  const encoder = new TextEncoder();
  const reader = file.getReader();
  const part: Multipart = {
    boundary,
    stream: ReadableStream.from(pieces()),
    fault: undefined,
    close: () => reader.cancel().catch(() => {}),
  };
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield encoder.encode(
      `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="file"\r\n` +
        "content-type: application/octet-stream\r\n\r\n",
    );
    let sent = 0;
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        sent += next.value.length;
        yield next.value;
      }
      // half a file must not be called clean
      if (sent !== bytes) throw new Error(`The stored file has ${sent} bytes instead of ${bytes}`);
    } catch (error) {
      part.fault = error;
      throw error;
    }
    yield encoder.encode(`\r\n--${boundary}--\r\n`);
  }
  return part;
}

async function readAnswer(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of response.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    if (text.length > ANSWER_BYTES_MAX) throw new ScanFailed("the answer is too long", false);
  }
  return text;
}

function verdictOf(status: number, answer: string): Verdict {
  const entries = entriesOf(answer);
  const found = entries.find((entry) => entry.status === "FOUND");
  // whatever the status: what was found, was found
  if (found !== undefined) return { is: "infected", signature: found.description };
  if (status === 200 && entries.length === 1 && entries[0]?.status === "OK") return { is: "clean" };
  const said = entries[0]?.description ?? "";
  throw new ScanFailed(`it answers ${status}${said === "" ? "" : ` (${said})`}`, ABOUT_THE_FILE.has(status));
}

interface Entry {
  status: string;
  description: string;
}

/** An array; the old `/scan` writes objects one after the other. Anything else is no entry. */
function entriesOf(answer: string): Entry[] {
  const text = answer.trim();
  for (const form of [text, `[${text.replace(/\}\s*\{/g, "},{")}]`]) {
    try {
      const parsed: unknown = JSON.parse(form);
      return (Array.isArray(parsed) ? parsed : [parsed]).map(entryOf).filter((entry) => entry !== undefined);
    } catch {
      // the other form, or none
    }
  }
  return [];
}

function entryOf(value: unknown): Entry | undefined {
  if (typeof value !== "object" || value === null || !("Status" in value)) return undefined;
  const { Status: status, Description: description } = value as Record<string, unknown>;
  if (typeof status !== "string") return undefined;
  return { status: status.toUpperCase(), description: label(description) };
}

/** It is shown to people and goes to the log. */
function label(description: unknown): string {
  const text = typeof description === "string"
    ? description.replace(/[^\x20-\x7e]/g, "").slice(0, SIGNATURE_MAX)
    : "";
  return text === "" ? "unknown" : text;
}
