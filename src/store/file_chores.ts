/**
 * Chores of files that any node may do: scan what waits, remove the bytes of what is gone. Whoever takes a file has it
 * for a while (`due_at`); if nothing comes of it another takes it then.
 */
import type { AttachmentId, UserId } from "../protocol/ids.ts";
import type { AttachmentKind } from "../protocol/models.ts";
import type { ShownAttachment } from "./attachments.ts";
import type { WriteAnswer } from "./changes.ts";
import type { Database } from "./database.ts";

export interface PendingFile {
  id: AttachmentId;
  key: string;
  kind: AttachmentKind;
  mimeType: string;
  /** files/file_kind.ts: FileKind */
  facts: string;
  bytes: number;
  /** Of this one among all tries. */
  attempts: number;
}

/** Takes files that wait to be scanned, the longest waiting first. */
export function takePending(db: Database, max: number, leaseMs: number): Promise<PendingFile[]> {
  return db.read<PendingFile>((sql) =>
    sql`update attachments set attempts = attempts + 1, due_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
      where id in (select a.id from attachments a
        where a.state = 'pending' and a.removed_at is null and a.due_at <= clock_timestamp()
        order by a.due_at limit ${max} for update skip locked)
      returning id, key, kind, mime_type as "mimeType", facts::text as facts, bytes, attempts`
  );
}

/** Gives back what could not be scanned now. */
export async function putOff(db: Database, ids: readonly AttachmentId[], delayMs: number): Promise<void> {
  await db.read((sql) =>
    sql`update attachments set due_at = clock_timestamp() + ${delayMs} * interval '1 millisecond'
      where id in (select v::uuid from jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb) v)
        and state = 'pending'`
  );
}

/** In how many milliseconds there will be something to scan; undefined if nothing waits. */
export async function nextPendingMs(db: Database): Promise<number | undefined> {
  const [row] = await db.read<{ ms: number }>((sql) =>
    sql`select (extract(epoch from a.due_at - clock_timestamp()) * 1000)::float8 as ms from attachments a
      where a.state = 'pending' and a.removed_at is null order by a.due_at limit 1`
  );
  return row?.ms;
}

export interface VerdictAnswer extends WriteAnswer {
  /** Absent if somebody else had been quicker. */
  attachment?: ShownAttachment;
  finding?: string | null;
  uploaderId?: UserId;
}

export function writeVerdict(
  db: Database,
  verdict: {
    id: AttachmentId;
    state: "clean" | "infected" | "failed";
    finding?: string;
    durationMs?: number | undefined;
  },
): Promise<VerdictAnswer> {
  return db.write((sql) =>
    sql`select attachment_verdict_v1(${JSON.stringify(verdict)}::text::jsonb)::text as answer`
  );
}

/** Lets go of uploads that broke off, and of those that nobody sent; forgets rows whose bytes are long gone. */
export async function expireUploads(
  db: Database,
  { unsentMs, brokenOffMs }: { unsentMs: number; brokenOffMs: number },
): Promise<void> {
  await db.read((sql) =>
    sql`with expired as (
        update attachments set removed_at = clock_timestamp(), due_at = clock_timestamp(),
          bytes = case when state = 'uploading' then 0 else bytes end
        where message_id is null and removed_at is null and created_at < clock_timestamp()
          - case when state = 'uploading' then ${brokenOffMs}::float8 else ${unsentMs}::float8 end * interval '1 millisecond'
      )
      delete from attachments where removed_at is not null and bytes_gone_at < clock_timestamp() - interval '2 days'`
  );
}

export interface DoomedFile {
  id: AttachmentId;
  key: string;
}

/** Takes files whose bytes are to go. */
export function takeDoomed(db: Database, max: number, leaseMs: number): Promise<DoomedFile[]> {
  return db.read<DoomedFile>((sql) =>
    sql`update attachments set due_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
      where id in (select a.id from attachments a
        where a.bytes_gone_at is null and (a.removed_at is not null or a.state in ('infected', 'failed'))
          and a.due_at <= clock_timestamp()
        order by a.due_at limit ${max} for update skip locked)
      returning id, key`
  );
}

export async function markGone(db: Database, ids: readonly AttachmentId[]): Promise<void> {
  await db.read((sql) =>
    sql`update attachments set bytes_gone_at = clock_timestamp()
      where id in (select v::uuid from jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb) v)`
  );
}

/** True for one node once in `periodMs`: it is to look through the store. */
export async function takeStrays(db: Database, periodMs: number): Promise<boolean> {
  const rows = await db.read((sql) =>
    sql`update server_state set strays_sought_at = clock_timestamp()
      where strays_sought_at < clock_timestamp() - ${periodMs} * interval '1 millisecond' returning 1`
  );
  return rows.length > 0;
}

/** Of keys that are in the store, those that should not be. */
export async function strayKeys(db: Database, keys: readonly string[]): Promise<string[]> {
  const rows = await db.read<{ key: string }>((sql) =>
    sql`select v as key from jsonb_array_elements_text(${JSON.stringify(keys)}::text::jsonb) v
      where not exists (select from attachments a where a.key = v and a.bytes_gone_at is null)`
  );
  return rows.map((row) => row.key);
}
