/**
 * Attachments: what is known of files, and who may have them. The bytes are in a file store; what a message shows of its
 * files is in the message. Scanning and tidying up: file_chores.ts.
 */
import type { AttachmentId, MessageId, RoomId, UserId } from "../protocol/ids.ts";
import type { AttachmentKind, AttachmentState } from "../protocol/models.ts";
import type { DirectPair } from "./appender.ts";
import type { WriteAnswer } from "./changes.ts";
import type { Database } from "./database.ts";

export interface NewUpload {
  id: AttachmentId;
  /** Of the file store. */
  key: string;
  userId: UserId;
  target: { is: "room"; roomId: RoomId } | { is: "direct"; pair: DirectPair };
  name: string;
  mimeType: string;
  kind: AttachmentKind;
  facts: object;
  /** As many as it may become. */
  bytes: number;
  /** Bytes that a user may upload in a day. */
  quota: number;
}

/** Whether the user may, and has the room for it; if so a row holds the place of what comes. */
export function beginUpload(db: Database, upload: NewUpload): Promise<WriteAnswer & { used?: number }> {
  const { target, ...rest } = upload;
  const params = target.is === "room"
    ? { ...rest, roomId: target.roomId }
    : { ...rest, direct: { key: target.pair.key, low: target.pair.low, high: target.pair.high } };
  return db.write((sql) =>
    sql`select begin_upload_v1(${JSON.stringify(params)}::text::jsonb)::text as answer`
  );
}

export interface FinishedUpload {
  id: AttachmentId;
  bytes: number;
  sha256: string;
  durationMs: number | null;
  waveform: readonly number[] | null;
  /** False: nothing is scanned, all is clean. */
  scanning: boolean;
}

/** What the wire shows of an attachment, as Postgres made it. */
export interface ShownAttachment extends Record<string, unknown> {
  id: AttachmentId;
  state: AttachmentState;
}

export function finishUpload(
  db: Database,
  upload: FinishedUpload,
): Promise<WriteAnswer & { attachment?: ShownAttachment }> {
  return db.write((sql) =>
    sql`select finish_upload_v1(${JSON.stringify(upload)}::text::jsonb)::text as answer`
  );
}

/** Uploads that will never be sent. What has been sent already is left alone. `bytes` undefined: they count as they are. */
export function dropUploads(
  db: Database,
  ids: readonly AttachmentId[],
  userId: UserId,
  { uncounted }: { uncounted: boolean },
): Promise<{ id: AttachmentId; key: string }[]> {
  return db.read((sql) =>
    sql`update attachments set removed_at = clock_timestamp(), due_at = clock_timestamp() + interval '10 seconds',
        bytes = case when ${uncounted} then 0 else bytes end
      where id in (select v::uuid from jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb) v)
        and uploader_id = ${userId} and message_id is null and removed_at is null
      returning id, key`
  );
}

export interface FileView {
  id: AttachmentId;
  key: string;
  name: string;
  mimeType: string;
  /** files/file_kind.ts: FileKind */
  facts: string;
  bytes: number;
  sha256: string;
  state: AttachmentState;
  uploaderId: UserId;
  messageId: MessageId | null;
  finding: string | null;
  /** The wire's Attachment. */
  json: string;
}

/**
 * A file that the user may know of: of a message that is there, in a room that they are a member of now; or their own,
 * not sent yet. One question for every reason why not, so that all take as long.
 */
export async function findFile(
  db: Database,
  id: AttachmentId,
  userId: UserId,
): Promise<FileView | undefined> {
  const [row] = await db.read<FileView>((sql) =>
    sql`select a.id, a.key, a.name, a.mime_type as "mimeType", a.facts::text as facts, a.bytes, a.sha256, a.state,
        a.uploader_id as "uploaderId", a.message_id as "messageId", a.finding, attachment_json_v1(a)::text as json
      from attachments a
      left join messages m on m.id = a.message_id and not m.is_deleted
      left join rooms r on r.id = m.room_id and r.deleted_at is null
      left join memberships s on s.room_id = r.id and s.user_id = ${userId} and s.left_seq is null
      where a.id = ${id} and a.removed_at is null and a.state <> 'uploading'
        and case when a.message_id is null then a.uploader_id = ${userId} else s.user_id is not null end`
  );
  return row;
}

/** What links are signed with; every node has the same. */
export async function readLinkKey(db: Database): Promise<string> {
  const [row] = await db.read<{ key: string }>((sql) => sql`select link_key as key from server_state`);
  return row?.key ?? "";
}
