/**
 * An upload session: the files of one request. It holds a place among the node's uploads; when it ends, files that no
 * answer has told of are taken back.
 */
import type { AttachmentId, RoomId, UserId } from "../protocol/ids.ts";
import { jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import type { NewUpload, ShownAttachment } from "../store/attachments.ts";
import { directPair } from "../store/rooms.ts";
import type { Actor } from "./actor.ts";
import type { IncomingFile, Uploads } from "./uploads.ts";

export class UploadSession implements AsyncDisposable {
  readonly maxBytes: number;
  readonly files: ShownAttachment[] = [];
  readonly #uploads: Uploads;
  readonly #actor: Actor;
  readonly #place: Disposable;
  #told = new Set<AttachmentId>();

  constructor(uploads: Uploads, actor: Actor, place: Disposable) {
    this.maxBytes = uploads.maxBytes;
    this.#uploads = uploads;
    this.#actor = actor;
    this.#place = place;
  }

  async receive(
    target: { roomId: RoomId | undefined; recipientId: UserId | undefined },
    file: IncomingFile,
    signal: AbortSignal,
  ): Promise<void> {
    this.files.push(await this.#uploads.receive(this.#actor, this.#targetOf(target), file, signal));
  }

  #targetOf(
    { roomId, recipientId }: { roomId: RoomId | undefined; recipientId: UserId | undefined },
  ): NewUpload["target"] {
    if (roomId !== undefined) return { is: "room", roomId };
    if (recipientId === undefined) throw new TypeError("An upload goes to a room or to a user");
    return { is: "direct", pair: directPair(this.#actor.userId, recipientId) };
  }

  /** The upload is there, to be sent later. */
  keep(): JsonText {
    this.#told = new Set(this.files.map(({ id }) => id));
    return jsonObject({ attachment: toJson(this.files[0]) });
  }

  /** The message is there. One that was sent before has the files of the first time: those of this time go. */
  sentWith(answer: JsonText): JsonText {
    this.#told = new Set(this.files.map(({ id }) => id).filter((id) => answer.includes(`"${id}"`)));
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#place[Symbol.dispose]();
    const left = this.files.map(({ id }) => id).filter((id) => !this.#told.has(id));
    await this.#uploads.drop(this.#actor, left);
  }
}
