/** Users: the projection of the identity provider, and who stops direct messages with whom. */
import type { UserId } from "../protocol/ids.ts";
import { type Change, changesOf, type WriteAnswer } from "./changes.ts";
import type { Database, Reader } from "./database.ts";
import type { ChosenStatus } from "./presence.ts";
import { callWrite } from "./rooms.ts";

export interface Claims {
  userId: UserId;
  name: string;
  avatarUrl: string | null;
  role: string;
  courses: readonly string[];
  /** ISO 8601: when the token was made. */
  issuedAt: string;
  /** Members that a room may have: a suspended membership comes back only where there is place. */
  limit: number;
}

/** Writes what a token says, unless a newer one said otherwise; suspends and restores course memberships. */
export async function syncUser(
  db: Database,
  claims: Claims,
): Promise<{ changes: Change[]; inboxSeq: number; epoch: string; status: ChosenStatus }> {
  const answer = await callWrite<WriteAnswer & { inboxSeq: number; epoch: string; status: ChosenStatus }>(
    db,
    "sync_user_v1",
    claims,
  );
  const { inboxSeq, epoch, status } = answer;
  return { changes: changesOf(answer), inboxSeq, epoch, status };
}

/** Whether this token, or a newer one, has been written: then to write it again changes nothing that a request waits for. */
export async function isSynced(from: Reader, claims: Claims): Promise<boolean> {
  const { userId, name, avatarUrl, role, courses, issuedAt } = claims;
  const rows = await from.read((sql) =>
    sql`select 1 from users where id = ${userId} and (claims_at > ${issuedAt}::text::timestamptz
      or (claims_at, name, role) = (${issuedAt}::text::timestamptz, ${name}, ${role})
        and avatar_url is not distinct from ${avatarUrl}
        and courses = array(select jsonb_array_elements_text(${JSON.stringify(courses)}::text::jsonb)))`
  );
  return rows.length > 0;
}

export async function userExists(db: Database, userId: UserId): Promise<boolean> {
  return (await db.read((sql) => sql`select 1 from users where id = ${userId}`)).length > 0;
}

/** `direct`: the key of the two users' direct room. */
export function blockUser(
  db: Database,
  blocker: UserId,
  blocked: UserId,
  direct: string,
): Promise<WriteAnswer> {
  return db.write((sql) => sql`select block_user_v1(${blocker}, ${blocked}, ${direct})::text as answer`);
}

/** Whether there was a block. */
export async function unblockUser(db: Database, blocker: UserId, blocked: UserId): Promise<boolean> {
  const rows = await db.read((sql) =>
    sql`delete from user_blocks where blocker_id = ${blocker} and blocked_id = ${blocked} returning 1`
  );
  return rows.length > 0;
}

/** Profiles as JSON, with `blockedAt`, newest first. */
export async function listBlocked(db: Database, blocker: UserId): Promise<string[]> {
  const rows = await db.read<{ json: string }>((sql) =>
    sql`select json_build_object('id', u.id, 'name', u.name, 'avatarUrl', u.avatar_url, 'blockedAt', iso_v1(b.created_at))::text as json
      from user_blocks b join users u on u.id = b.blocked_id
      where b.blocker_id = ${blocker} order by b.created_at desc, u.id limit 1000`
  );
  return rows.map((row) => row.json);
}
