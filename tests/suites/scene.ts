/**
 * The scene of the refusals: rooms of every kind, and somebody in every relation to them. It is set by REST; nothing
 * that is refused may change it, so all rows share one.
 */
import { strictEqual } from "node:assert/strict";
import type { Door, DoorClient, Json } from "../helpers/doors.ts";
import type { TestClaims } from "../helpers/test_app.ts";

/** Who asks, by their relation to the rooms. */
export const PEOPLE = {
  owner: {},
  roomAdmin: {},
  moderator: {},
  member: {},
  muted: {},
  banned: {},
  /** Were members, and wrote. */
  left: {},
  /** Signed in, and a member of nothing. */
  stranger: {},
  teacher: { role: "teacher", courses: ["greek"] },
  pupil: { courses: ["greek"] },
  /** Took the course until a newer token came. */
  suspended: { courses: [] },
  /** Has a conversation with member. */
  friend: {},
  /** Has one too, but member has blocked them since. */
  blocked: {},
  platformAdmin: { role: "admin" },
} satisfies Record<string, TestClaims>;
export type Person = keyof typeof PEOPLE;

export interface Scene {
  rooms: {
    /** PUBLIC, everybody's; `member` may do little. */
    open: string;
    /** PRIVATE: owner, member. */
    closed: string;
    /** COURSE greek: teacher, pupil; suspended was in it. */
    course: string;
    /** PUBLIC with place for its owner only. */
    full: string;
    /** Was PUBLIC, and is deleted: owner, member. */
    gone: string;
    /** DIRECT: member and friend; member and blocked. */
    direct: string;
    blockedDirect: string;
  };
  messages:
    & Record<
      "ofMember" | "ofOwner" | "ofMuted" | "ofBanned" | "ofLeft" | "ofSuspended" | "deleted",
      string
    >
    & {
      inClosed: string;
      inGone: string;
      inCourse: string;
      direct: string;
      directOfFriend: string;
      blockedDirect: string;
    };
}

export const ABSENT = "01890a5d-ac96-774b-bcce-b302099a8057";

export const claimsOf = (person: Person): TestClaims => PEOPLE[person];

export async function setScene(door: Door): Promise<Scene> {
  const by: Record<string, DoorClient> = {};
  for (const person of Object.keys(PEOPLE) as Person[]) {
    const past = { courses: ["greek"], issuedAt: Math.floor(Date.now() / 1000) - 60 };
    by[person] = await door.as(person, person === "suspended" ? past : claimsOf(person));
    await by[person].call("list_rooms");
  }
  const call = (person: Person, command: string, input: Json) =>
    (by[person] as DoorClient).call(command, input);
  const make = async (person: Person, input: Json): Promise<string> =>
    (await call(person, "create_room", input)).room.id;
  const say = async (person: Person, roomId: string): Promise<string> =>
    (await call(person, "send_message", { roomId, content: `${person} was here` })).message.id;
  const write = async (person: Person, recipientId: Person) =>
    (await call(person, "send_direct_message", { recipientId, content: "between us" })).message;

  const open = await make("owner", { name: "open" });
  for (const person of ["roomAdmin", "moderator", "member", "muted", "banned", "left"] as const) {
    await call(person, "join_room", { roomId: open });
  }
  const ofBanned = await say("banned", open);
  const ofLeft = await say("left", open);
  const ofMuted = await say("muted", open);
  const change = (userId: Person, patch: Json) =>
    call("owner", "update_member", { roomId: open, userId, ...patch });
  await change("roomAdmin", { role: "ADMIN" });
  await change("moderator", { role: "MODERATOR" });
  await change("muted", { isMuted: true });
  await change("banned", { isBlocked: true });
  await call("left", "leave_room", { roomId: open });
  const deleted = await say("member", open);
  await call("member", "delete_message", { messageId: deleted });

  const closed = await make("owner", { name: "closed", type: "PRIVATE" });
  await call("owner", "add_member", { roomId: closed, userId: "member" });
  const course = await make("teacher", { name: "course", type: "COURSE", courseId: "greek" });
  await call("pupil", "join_room", { roomId: course });
  await call("suspended", "join_room", { roomId: course });
  const ofSuspended = await say("suspended", course);
  await (await door.as("suspended", claimsOf("suspended"))).call("list_rooms");
  const full = await make("owner", { name: "full", maxMembers: 1 });

  const gone = await make("owner", { name: "gone" });
  await call("member", "join_room", { roomId: gone });
  const inGone = await say("member", gone);
  await call("owner", "delete_room", { roomId: gone });

  const direct = await write("member", "friend");
  const answered = await write("friend", "member");
  const blockedDirect = await write("member", "blocked");
  strictEqual((await write("blocked", "member")).roomId, blockedDirect.roomId);
  await call("member", "block_user", { userId: "blocked" });
  return {
    rooms: { open, closed, course, full, gone, direct: direct.roomId, blockedDirect: blockedDirect.roomId },
    messages: {
      ofMember: await say("member", open),
      ofOwner: await say("owner", open),
      ofMuted,
      ofBanned,
      ofLeft,
      ofSuspended,
      deleted,
      inClosed: await say("owner", closed),
      inGone,
      inCourse: await say("pupil", course),
      direct: direct.id,
      directOfFriend: answered.id,
      blockedDirect: blockedDirect.id,
    },
  };
}
