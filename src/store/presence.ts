/** What Postgres keeps of presence: what users chose, when they were last seen, and who may hear of them. */
import type { RoomId, UserId } from "../protocol/ids.ts";
import { PRESENCE_MEMBERS_MAX, PRESENCE_ROOMS_MAX } from "../protocol/limits.ts";
import type { StatusChoice, UserProfile } from "../protocol/models.ts";
import type { WriteAnswer } from "./changes.ts";
import type { Database } from "./database.ts";

export interface ChosenStatus {
  /** Each choice has a higher one than that before. */
  version: number;
  choice: StatusChoice;
  text: string | null;
  emoji: string | null;
  until: string | null;
}

export interface StatusRow {
  userId: UserId;
  user: UserProfile;
  chosen: ChosenStatus;
  lastSeenAt: string;
  /** They have blocked the asker. */
  hides: boolean;
}

/** Of the users there are, in no order. */
export async function readStatuses(
  db: Database,
  asker: UserId,
  userIds: readonly UserId[],
): Promise<StatusRow[]> {
  const rows = await db.read<{ json: string }>((sql) =>
    sql`select json_build_object('userId', u.id, 'user', profile_json_v1(u.id)::json, 'chosen', status_v1(u),
        'lastSeenAt', iso_v1(u.last_seen_at),
        'hides', exists (select from user_blocks b where b.blocker_id = u.id and b.blocked_id = ${asker}))::text as json
      from jsonb_array_elements_text(${
      JSON.stringify(userIds)
    }::text::jsonb) s(id) join users u on u.id = s.id`
  );
  return rows.map(({ json }) => JSON.parse(json));
}

export interface PresenceAudience {
  user: UserProfile;
  lastSeenAt: string;
  chosen: ChosenStatus;
  /** Rooms that are small enough to be told without asking. */
  rooms: RoomId[];
  /** Whom the user has blocked. */
  hiddenFrom: UserId[];
}

/** `gone`: notes that the user was last seen now, unless they are invisible. */
export function presenceAudience(db: Database, userId: UserId, gone: boolean): Promise<PresenceAudience> {
  return db.write<WriteAnswer & PresenceAudience>((sql) =>
    sql`select presence_audience_v1(${userId}, ${PRESENCE_MEMBERS_MAX}, ${PRESENCE_ROOMS_MAX}, ${gone})::text as answer`
  );
}
