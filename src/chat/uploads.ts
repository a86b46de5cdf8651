/**
 * Uploads: one file on its way from a door into the file store. What it is, its bytes say; whether it may be here, the
 * database; whether anybody gets it, the scanner (scanning.ts). Never is a whole file in memory, and nothing is left
 * of one that broke off.
 */
import { createHash } from "node:crypto";
import { type FileKind, HEAD_BYTES, inspectHead } from "../files/file_kind.ts";
import type { AllowedTypes } from "../files/media_types.ts";
import { displayName } from "../files/file_names.ts";
import { FileRefused } from "../files/file_refused.ts";
import { type FileStore, newFileKey, StoreFull, StoreUnavailable } from "../files/file_store.ts";
import { measureDurationMs } from "../files/media.ts";
import { describeFault, type Log } from "../log.ts";
import { ChatError, invalidField } from "../protocol/errors.ts";
import { type AttachmentId, newAttachmentId } from "../protocol/ids.ts";
import type { AttachmentKind } from "../protocol/models.ts";
import {
  beginUpload,
  dropUploads,
  finishUpload,
  type NewUpload,
  type ShownAttachment,
} from "../store/attachments.ts";
import { markGone } from "../store/file_chores.ts";
import type { Actor } from "./actor.ts";
import type { RoomRules } from "./room_rules.ts";
import type { UploadPlaces } from "./upload_places.ts";
import { UploadSession } from "./upload_session.ts";

export interface IncomingFile {
  /** Of the form, for errors. */
  field: string;
  name: string;
  declaredType: string | undefined;
  kind: AttachmentKind | undefined;
  durationMs: number | undefined;
  waveform: readonly number[] | undefined;
  body: AsyncIterable<Uint8Array>;
  /** It cannot have more. */
  bytesMax: number;
}

export interface UploadOptions {
  rules: RoomRules;
  files: FileStore;
  places: UploadPlaces;
  allowed: AllowedTypes;
  maxBytes: number;
  /** Of one user in a day. */
  quotaBytes: number;
  /** False: everything is clean. */
  scanning: boolean;
  /** There is something to scan. */
  onPending: () => void;
  log: Log;
}

export class Uploads {
  readonly maxBytes: number;
  readonly places: UploadPlaces;
  readonly #options: UploadOptions;

  constructor(options: UploadOptions) {
    this.#options = options;
    this.maxBytes = options.maxBytes;
    this.places = options.places;
  }

  /** Throws `busy`, before a byte of a body is read. */
  begin(actor: Actor): UploadSession {
    return new UploadSession(this, actor, this.places.take(actor.userId));
  }

  /** The file as the wire shows it. Whatever is thrown, nothing of the file is left, or soon will not be. */
  async receive(
    actor: Actor,
    target: NewUpload["target"],
    file: IncomingFile,
    signal: AbortSignal,
  ): Promise<ShownAttachment> {
    const { files, allowed, maxBytes } = this.#options;
    const name = displayName(file.name);
    const about = { field: file.field, file: name };
    const body = new CountedBody(
      file.body,
      maxBytes,
      () =>
        new ChatError("too_large", `${file.field}: a file may have at most ${maxBytes} bytes`, {
          ...about,
          maxBytes,
        }),
    );
    const head = await body.head(HEAD_BYTES);
    const facts = await inspectHead(head, { name, declaredType: file.declaredType }, allowed)
      .catch((fault) => Promise.reject(refusedFile(fault, about)));
    const kind = kindOf(file, facts);
    const upload = { id: newAttachmentId(), key: newFileKey(), name, kind, mimeType: facts.mimeType };
    await this.#begin(actor, {
      ...upload,
      userId: actor.userId,
      target,
      facts,
      bytes: Math.min(file.bytesMax, maxBytes),
    });
    try {
      await files.put(upload.key, body.whole(), { signal, mimeType: facts.mimeType });
      return await this.#finish(upload, file, body);
    } catch (fault) {
      await this.drop(actor, [upload.id]);
      throw told(fault);
    }
  }

  async #begin(actor: Actor, upload: Omit<NewUpload, "quota">): Promise<void> {
    const { rules, quotaBytes } = this.#options;
    const answer = await beginUpload(rules.db, { ...upload, quota: quotaBytes });
    if (answer.code === null) return;
    if (answer.code === "quota_exceeded") {
      throw new ChatError("quota_exceeded", undefined, { quotaBytes, usedBytes: answer.used });
    }
    if (upload.target.is === "direct" && answer.code === "not_found") {
      throw new ChatError("not_found", "recipientId: there is no such user", { field: "recipientId" });
    }
    throw await rules.refuse(
      actor,
      answer.code,
      upload.target.is === "room" ? upload.target.roomId : undefined,
    );
  }

  async #finish(
    upload: { id: AttachmentId; key: string; kind: AttachmentKind; mimeType: string },
    file: IncomingFile,
    body: CountedBody,
  ): Promise<ShownAttachment> {
    const { rules, files, scanning, onPending } = this.#options;
    const isAudible = upload.kind === "voice" || upload.kind === "audio";
    const measured = isAudible
      ? await measureDurationMs(
        () => files.get(upload.key, undefined),
        { bytes: body.bytes, mimeType: upload.mimeType },
        AbortSignal.timeout(MEASURE_MS),
      )
      : undefined;
    const { code, attachment } = await finishUpload(rules.db, {
      id: upload.id,
      bytes: body.bytes,
      sha256: body.sha256,
      durationMs: measured ?? file.durationMs ?? null,
      waveform: file.waveform ?? null,
      scanning,
    });
    if (code !== null || attachment === undefined) {
      throw new ChatError("unavailable", "The upload took too long");
    }
    if (attachment.state === "pending") onPending();
    return attachment;
  }

  /** Takes back what was not sent, as if it had never been; the collector does it if this cannot. */
  async drop(actor: Actor, ids: readonly AttachmentId[]): Promise<void> {
    const { rules, files, log } = this.#options;
    if (ids.length === 0) return;
    try {
      const dropped = await dropUploads(rules.db, ids, actor.userId, { uncounted: true });
      await files.delete(dropped.map(({ key }) => key));
      await markGone(rules.db, dropped.map(({ id }) => id));
    } catch (fault) {
      log.warn("upload.not_dropped", describeFault(fault));
    }
  }
}

const MEASURE_MS = 5_000;

/** Counts and hashes what passes. */
class CountedBody {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #max: number;
  readonly #tooLarge: () => ChatError;
  readonly #hash = createHash("sha256");
  #first: Uint8Array[] = [];
  #bytes = 0;
  #digest: string | undefined;

  constructor(body: AsyncIterable<Uint8Array>, max: number, tooLarge: () => ChatError) {
    this.#source = body[Symbol.asyncIterator]();
    this.#max = max;
    this.#tooLarge = tooLarge;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get sha256(): string {
    return this.#digest ??= this.#hash.digest("hex");
  }

  /** At least so much of its beginning, or all there is; whole() has it again. */
  async head(bytes: number): Promise<Uint8Array> {
    while (this.#bytes < bytes) {
      const chunk = await this.#take();
      if (chunk === undefined) break;
      this.#first.push(new Uint8Array(chunk)); // a copy: it is ours only until we ask for the next one
    }
    const head = new Uint8Array(Math.min(bytes, this.#bytes));
    let at = 0;
    for (const chunk of this.#first) {
      head.set(chunk.subarray(0, head.length - at), at);
      at += Math.min(chunk.length, head.length - at);
    }
    return head;
  }

  async *whole(): AsyncGenerator<Uint8Array> {
    const first = this.#first;
    this.#first = [];
    yield* first;
    for (let chunk = await this.#take(); chunk !== undefined; chunk = await this.#take()) yield chunk;
  }

  async #take(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.#source.next();
    if (done) return undefined;
    this.#bytes += value.length;
    if (this.#bytes > this.#max) throw this.#tooLarge();
    this.#hash.update(value);
    return value;
  }
}

function kindOf(file: IncomingFile, { family }: FileKind): AttachmentKind {
  const isVoice = file.kind === "voice";
  if (isVoice && family !== "audio") throw invalidField("kind", "voice of what is a recording");
  if (!isVoice && (file.waveform !== undefined || file.durationMs !== undefined)) {
    throw invalidField(file.waveform === undefined ? "durationMs" : "waveform", "of kind voice only");
  }
  const kind = isVoice
    ? "voice"
    : family === "image" || family === "video" || family === "audio"
    ? family
    : "file";
  if (file.kind !== undefined && file.kind !== kind) {
    throw invalidField("kind", `${kind}, which is what the file is`);
  }
  return kind;
}

function refusedFile(fault: unknown, about: { field: string; file: string }): unknown {
  if (!(fault instanceof FileRefused)) return fault;
  const details = { ...about, reason: fault.reason };
  return fault.reason === "empty"
    ? new ChatError("invalid_request", `${about.field}: ${fault.message}`, {
      ...details,
      expected: fault.message,
    })
    : new ChatError("unsupported_media_type", `${about.field}: ${fault.message}`, details);
}

function told(fault: unknown): unknown {
  if (fault instanceof StoreFull) {
    return new ChatError("storage_full", undefined, undefined, { cause: fault });
  }
  if (fault instanceof StoreUnavailable) {
    return new ChatError("unavailable", "Files cannot be stored now", undefined, { cause: fault });
  }
  return fault;
}
