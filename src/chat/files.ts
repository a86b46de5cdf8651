/**
 * Files on their way out: who may have one is asked on every fetch, and whatever is not clean nobody gets. A link is a
 * permission for one user, one file and a few minutes; whether they are still in the room is asked again when it is used.
 */
import type { FileKind } from "../files/file_kind.ts";
import { type ByteRange, FileMissing, type FileStore, StoreUnavailable } from "../files/file_store.ts";
import { EphemeralPush } from "../delivery/ephemeral.ts";
import type { Hub } from "../delivery/hub.ts";
import type { CommandInput } from "../protocol/commands.ts";
import { ChatError } from "../protocol/errors.ts";
import type { AttachmentId, UserId } from "../protocol/ids.ts";
import { asJson, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import { FILE_LINK_MS } from "../protocol/limits.ts";
import { dropUploads, type FileView, findFile, readLinkKey } from "../store/attachments.ts";
import type { Database } from "../store/database.ts";
import type { Actor } from "./actor.ts";

export interface OpenFile {
  name: string;
  mimeType: string;
  charset: string | undefined;
  /** May be shown by a browser as it is. */
  inline: boolean;
  bytes: number;
  etag: string;
  read(range: ByteRange | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

export class Files {
  readonly #db: Database;
  readonly #store: FileStore | undefined;
  readonly #publicUrl: string | undefined;
  readonly #onDropped: () => void;
  #linkKey: Promise<CryptoKey> | undefined;

  /** `store` undefined: there is no place for files. `onDropped`: there are bytes to remove. */
  constructor(
    uses: {
      db: Database;
      hub: Hub;
      store: FileStore | undefined;
      publicUrl: string | undefined;
      onDropped: () => void;
    },
  ) {
    this.#db = uses.db;
    this.#store = uses.store;
    this.#publicUrl = uses.publicUrl;
    this.#onDropped = uses.onDropped;
    uses.hub.onSignal(
      "file",
      (topic, payload) => uses.hub.pushEphemeral(topic, new EphemeralPush("file_scanned", payload)),
    );
  }

  /** Throws `not_found` for what the user may not know of, and for what is not clean. */
  async open(userId: UserId, fileId: AttachmentId): Promise<OpenFile> {
    const file = await this.#clean(userId, fileId);
    const facts = JSON.parse(file.facts) as FileKind;
    const store = this.#store;
    return {
      name: file.name,
      mimeType: facts.mimeType,
      charset: facts.charset,
      inline: facts.inline,
      bytes: file.bytes,
      etag: `"${file.sha256}"`,
      read: async (range, signal) => {
        if (store === undefined) throw new ChatError("unavailable", "There is no store of files");
        try {
          return await store.get(file.key, range, signal);
        } catch (fault) {
          if (fault instanceof FileMissing) throw notFound();
          if (fault instanceof StoreUnavailable) {
            throw new ChatError("unavailable", "Files cannot be read now", undefined, { cause: fault });
          }
          throw fault;
        }
      },
    };
  }

  async state(actor: Actor, { fileId }: CommandInput<"get_file_state">): Promise<JsonText> {
    const file = await this.#known(actor.userId, fileId);
    const finding = file.uploaderId === actor.userId ? file.finding : null;
    return jsonObject({ attachment: asJson(file.json), finding: toJson(finding) });
  }

  async link(actor: Actor, { fileId }: CommandInput<"get_file_link">): Promise<JsonText> {
    await this.#clean(actor.userId, fileId);
    const expires = Date.now() + FILE_LINK_MS;
    const signature = await crypto.subtle.sign(
      "HMAC",
      await this.#key(),
      signed(fileId, actor.userId, expires),
    );
    const query = new URLSearchParams({
      user: actor.userId,
      expires: String(expires),
      signature: new Uint8Array(signature).toBase64({ alphabet: "base64url", omitPadding: true }),
    });
    const base = this.#publicUrl?.replace(/\/+$/, "") ?? "";
    return toJson({
      url: `${base}/api/chat/files/${fileId}?${query}`,
      expiresAt: new Date(expires).toISOString(),
    });
  }

  /** Whose link this is. Throws `not_found`. */
  async userOfLink(
    fileId: AttachmentId,
    link: { user: UserId; expires: string; signature: string },
  ): Promise<UserId> {
    const expires = Number(link.expires);
    const signature = Uint8Array.fromBase64(link.signature, { alphabet: "base64url" });
    const isOurs = await crypto.subtle.verify(
      "HMAC",
      await this.#key(),
      signature,
      signed(fileId, link.user, expires),
    );
    if (isOurs && expires > Date.now()) return link.user;
    await findFile(this.#db, fileId, link.user); // so that a bad link takes as long as a good one
    throw notFound();
  }

  async remove(actor: Actor, { fileId }: CommandInput<"remove_file">): Promise<JsonText> {
    if ((await dropUploads(this.#db, [fileId], actor.userId, { uncounted: false })).length === 0) {
      const file = await this.#known(actor.userId, fileId);
      throw file.messageId === null
        ? notFound()
        : new ChatError("conflict", "The file has been sent: delete its message instead");
    }
    this.#onDropped();
    return toJson({});
  }

  async #known(userId: UserId, fileId: AttachmentId): Promise<FileView> {
    const file = await findFile(this.#db, fileId, userId);
    if (file === undefined) throw notFound();
    return file;
  }

  async #clean(userId: UserId, fileId: AttachmentId): Promise<FileView> {
    const file = await this.#known(userId, fileId);
    if (file.state !== "clean") {
      throw new ChatError("not_found", NOT_CLEAN[file.state], { state: file.state });
    }
    return file;
  }

  #key(): Promise<CryptoKey> {
    this.#linkKey ??= readLinkKey(this.#db).then((secret) =>
      crypto.subtle.importKey(
        "raw",
        new TextEncoder().encode(secret),
        { name: "HMAC", hash: "SHA-256" },
        false,
        [
          "sign",
          "verify",
        ],
      )
    );
    this.#linkKey.catch(() => this.#linkKey = undefined);
    return this.#linkKey;
  }
}

const NOT_CLEAN = {
  pending: "The file waits to be scanned",
  infected: "The file was infected",
  failed: "The file could not be scanned",
} as const;

const notFound = (): ChatError => new ChatError("not_found", "There is no such file");

const signed = (fileId: AttachmentId, userId: UserId, expires: number): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(JSON.stringify([fileId, userId, expires]));
