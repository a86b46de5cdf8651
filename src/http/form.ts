/**
 * A form with files (multipart/form-data), part by part as it comes. A file is read by whoever takes the part, and what
 * they leave of it is passed over; nothing is held but one field, or a few pieces of one file. A piece of a file is
 * theirs until they ask for the next one: then it is let go of.
 */
import { Busboy, type BusboyFileStream, type BusboyInstance } from "@fastify/busboy";
import { Buffer } from "node:buffer";
import { ChatError, invalidField } from "../protocol/errors.ts";
import { bodyTooLarge, letGo, pacedBody } from "./paced_body.ts";

export type Part = { is: "field"; name: string; value: string } | {
  is: "file";
  /** Of the form. */
  name: string;
  fileName: string;
  declaredType: string | undefined;
  body: AsyncIterable<Uint8Array>;
};

export interface FormLimits {
  /** Of the whole body. */
  bodyBytes: number;
  /** Of one file; one byte more is passed on, so that whoever counts sees it. */
  fileBytes: number;
  files: number;
  /** Of all fields together. */
  fieldBytes: number;
}

const FIELDS_MAX = 100;
const HEADER_BYTES = 16 * 1024;

export function isForm(request: Request): boolean {
  return /^multipart\/form-data\b/i.test(request.headers.get("content-type") ?? "");
}

export async function* readForm(request: Request, limits: FormLimits): AsyncGenerator<Part> {
  if (request.headers.has("content-encoding")) {
    throw new ChatError("unsupported_media_type", "Content-Encoding: a body is taken as it is only");
  }
  if (Number(request.headers.get("content-length") ?? 0) > limits.bodyBytes) {
    throw bodyTooLarge(limits.bodyBytes);
  }
  if (request.body === null) throw badForm("it is empty");
  const source = pacedBody(request.body, limits.bodyBytes);
  const parts = new Parts(request.headers.get("content-type") ?? "", limits);
  const feeding = parts.feed(source);
  try {
    for (let part = await parts.next(); part !== undefined; part = await parts.next()) {
      yield part;
      parts.passOver();
    }
  } finally {
    parts.stop();
    await feeding;
  }
}

/** What busboy tells by events, as a queue. */
class Parts {
  readonly #busboy: BusboyInstance;
  readonly #waiting: Part[] = [];
  readonly #pieces = new Pieces();
  /** Those that have begun and were not taken, and the one that was taken last. */
  readonly #files: FileViews[] = [];
  #taken: FileViews | undefined;
  #wake: (() => void) | undefined;
  /** Lets go of whoever waits for busboy to want more. */
  #stalled: () => void = () => {};
  #ended = false;
  #stopped = false;
  #fault: unknown;
  #fieldBytes = 0;

  constructor(contentType: string, limits: FormLimits) {
    try {
      this.#busboy = new Busboy({
        headers: { "content-type": contentType },
        preservePath: true,
        // nothing is queued inside: busboy wants more when it has done with a piece, and what it held of a file was taken
        highWaterMark: 1,
        fileHwm: 1,
        limits: {
          fieldNameSize: 100,
          fieldSize: limits.fieldBytes,
          fields: FIELDS_MAX,
          fileSize: limits.fileBytes + 1,
          files: limits.files,
          parts: FIELDS_MAX + limits.files,
          headerPairs: 20,
          headerSize: HEADER_BYTES,
        },
      });
    } catch (cause) {
      throw new ChatError("invalid_request", "Content-Type: Expected a boundary", undefined, { cause });
    }
    this.#busboy.on("field", (name: string | undefined, value, _, isTruncated) => {
      if (name === undefined) return this.#fail(badForm("it has a field without a name"));
      this.#fieldBytes += name.length + value.length;
      if (isTruncated || this.#fieldBytes > limits.fieldBytes) {
        return this.#fail(bodyTooLarge(limits.fieldBytes));
      }
      this.#add({ is: "field", name, value });
    });
    this.#busboy.on(
      "file",
      (name: string | undefined, stream, fileName: string | undefined, _, declaredType) => {
        if (name === undefined) return this.#fail(badForm("it has a file without a name of a field"));
        const file = new FileViews(stream, this.#pieces);
        this.#files.push(file);
        stream.on("error", () => {}); // told by the form's own
        const body = this.#bodyOf(file);
        this.#add({ is: "file", name, fileName: fileName ?? "", declaredType, body });
      },
    );
    this.#busboy.on(
      "filesLimit",
      () => this.#fail(invalidField("attachments", `at most ${limits.files} files`)),
    );
    this.#busboy.on("fieldsLimit", () => this.#fail(badForm(`it has more than ${FIELDS_MAX} fields`)));
    this.#busboy.on("partsLimit", () => this.#fail(badForm("it has too many parts")));
    this.#busboy.on("error", (fault) => this.#fail(badForm("it ends early, or is not one", fault)));
    this.#busboy.on("finish", () => this.#end());
  }

  /** Never throws. */
  async feed(source: AsyncIterable<Uint8Array<ArrayBuffer>>): Promise<void> {
    try {
      for await (const piece of source) {
        if (this.#stopped) return;
        this.#pieces.begin(piece.buffer);
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#stalled = resolve;
        // called once busboy wants more: what nobody reads stops the sender
        this.#busboy.write(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength), () => resolve());
        await promise;
        if (this.#stopped || this.#fault !== undefined) return;
        this.#pieces.done(piece.buffer); // busboy has no more of it
      }
      this.#busboy.end();
    } catch (fault) {
      this.#fail(fault);
    }
  }

  /** Undefined at the end. Throws what is wrong with the form, once all that came before it has been taken. */
  async next(): Promise<Part | undefined> {
    for (;;) {
      const part = this.#waiting.shift();
      if (part?.is === "file") this.#taken = this.#files.shift();
      if (part !== undefined) return part;
      if (this.#fault !== undefined) throw this.#fault;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** What is wrong with the form ends its file too, in our words. */
  async *#bodyOf(file: FileViews): AsyncGenerator<Uint8Array> {
    try {
      for await (const view of file.stream as AsyncIterable<Uint8Array>) {
        yield view;
        file.read(view.length);
      }
    } catch (fault) {
      throw this.#fault ?? badForm("it ends early", fault);
    }
  }

  /** What is left of the file that was taken last. */
  passOver(): void {
    this.#taken?.stream.resume();
    this.#taken = undefined;
  }

  stop(): void {
    this.#stopped = true;
    for (const { stream } of this.#openFiles()) stream.destroy();
    this.#stalled();
    this.#busboy.removeAllListeners();
    this.#busboy.on("error", () => {});
    this.#busboy.destroy();
  }

  #openFiles(): FileViews[] {
    return [...this.#files, ...this.#taken === undefined ? [] : [this.#taken]];
  }

  #add(part: Part): void {
    this.#waiting.push(part);
    this.#wake?.();
  }

  #fail(fault: unknown): void {
    this.#fault ??= fault;
    for (const { stream } of this.#openFiles()) stream.destroy(this.#fault as Error);
    this.#stalled();
    this.#wake?.();
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }
}

/** Which pieces are still needed: by busboy, and as views that lie in files. One that is not is let go of. */
class Pieces {
  readonly #needs = new Map<ArrayBufferLike, number>();

  begin(piece: ArrayBufferLike): void {
    this.#needs.set(piece, 1);
  }

  lend(piece: ArrayBufferLike): void {
    const needs = this.#needs.get(piece);
    if (needs !== undefined) this.#needs.set(piece, needs + 1);
  }

  done(piece: ArrayBufferLike): void {
    const needs = this.#needs.get(piece);
    if (needs === undefined) return;
    if (needs > 1) return void this.#needs.set(piece, needs - 1);
    this.#needs.delete(piece);
    letGo(piece as ArrayBuffer);
  }
}

/** A file of the form, and the views that wait in it, in order. */
class FileViews {
  readonly stream: BusboyFileStream;
  readonly #pieces: Pieces;
  readonly #waiting: { piece: ArrayBufferLike; left: number }[] = [];

  constructor(stream: BusboyFileStream, pieces: Pieces) {
    this.stream = stream;
    this.#pieces = pieces;
    const push = stream.push.bind(stream);
    stream.push = (view: Uint8Array | null) => {
      if (view !== null) {
        pieces.lend(view.buffer);
        this.#waiting.push({ piece: view.buffer, left: view.length });
      }
      return push(view);
    };
  }

  /** So many bytes have been read, and done with. */
  read(bytes: number): void {
    for (let left = bytes; left > 0;) {
      const first = this.#waiting[0];
      if (first === undefined) return;
      const taken = Math.min(left, first.left);
      left -= taken;
      first.left -= taken;
      if (first.left > 0) return;
      this.#waiting.shift();
      this.#pieces.done(first.piece);
    }
  }
}

const badForm = (why: string, cause?: unknown): ChatError =>
  new ChatError("invalid_request", `The form cannot be read: ${why}`, undefined, { cause });
