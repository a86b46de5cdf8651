/**
 * The permission table: the lowest role for each act on a room, and who may know of a room or make one. The
 * ranks are handed to the write functions, which check them while they hold the room's lock.
 */
import { ChatError } from "../protocol/errors.ts";
import type { MemberRole, RoomType } from "../protocol/models.ts";
import type { RoomView } from "../store/rooms.ts";
import type { Actor } from "./actor.ts";

const RANKS = { OWNER: 4, ADMIN: 3, MODERATOR: 2, MEMBER: 1 } as const satisfies Record<MemberRole, number>;

const LOWEST_ROLE = {
  update_room: "ADMIN",
  delete_room: "OWNER",
  add_member: "MEMBER",
  add_member_to_private: "MODERATOR",
  change_role: "ADMIN",
  mute_member: "MODERATOR",
  ban_member: "MODERATOR",
  remove_member: "MODERATOR",
  delete_message_of_others: "MODERATOR",
  list_banned: "MODERATOR",
} as const satisfies Record<string, MemberRole>;
export type RoomAct = keyof typeof LOWEST_ROLE;

export const rankFor = (act: RoomAct): number => RANKS[LOWEST_ROLE[act]];

/** For acts that only read: writes are checked under the room's lock. */
export function mayRead(act: RoomAct, role: MemberRole | undefined, actor: Actor): boolean {
  return actor.isAdmin || (role !== undefined && RANKS[role] >= rankFor(act));
}

/** A room that one may not know of is answered like one that is not there. */
export function mayKnow(actor: Actor, room: RoomView): boolean {
  if (room.isMember || room.isBanned) return true;
  if (room.type === "DIRECT") return false;
  if (actor.isAdmin) return true;
  return !room.isPrivate && (room.courseId === null || actor.courses.includes(room.courseId));
}

/** The role of someone who joins by themself: a course's teachers look after its rooms. */
export function roleOnJoin(actor: Actor, type: RoomType): MemberRole {
  return type === "COURSE" && actor.role === "teacher" ? "ADMIN" : "MEMBER";
}

export function requireMayCreate(actor: Actor, type: RoomType, courseId: string | undefined): void {
  if (type !== "COURSE" || actor.isAdmin) return;
  if (actor.role === "teacher" && courseId !== undefined && actor.courses.includes(courseId)) return;
  throw new ChatError("forbidden", "Only a teacher of the course may make its rooms", { field: "courseId" });
}
