/**
 * Operations on a small world of users and rooms, as the doors would have them done: to be drawn at random, in any order,
 * valid or not. What they may not do the write functions refuse.
 */
import fc from "fast-check";
import type { MessageId, RoomId, UserId } from "../../src/protocol/ids.ts";
import { newRoomId } from "../../src/protocol/ids.ts";
import { type Change, changesOf, type WriteAnswer } from "../../src/store/changes.ts";
import { callWrite, directPair, retain, type WriteFunction } from "../../src/store/rooms.ts";
import { blockUser, syncUser, unblockUser } from "../../src/store/users.ts";
import { draftOf, send, type StoreNode, toRoom, toUser } from "./fixture.ts";

export const USERS = ["ada", "ben", "cid", "dot"] as UserId[];
const COURSES = ["bible", "greek"];
const ROLES = ["OWNER", "ADMIN", "MODERATOR", "MEMBER"];
/** Of the permission table, in chat/permissions.ts. */
const RANK = { member: 1, moderator: 2, admin: 3, owner: 4 };
const LIMIT = 3;

/** Indexes are taken modulo what there is. */
export interface Op {
  does: string;
  actor: number;
  user: number;
  room: number;
  number: number;
  flag: boolean;
}

/** Each as often as its number says. */
const OPERATIONS =
  "send 12, repeat 4, direct 6, edit 5, delete 4, read 4, create 1, join 6, leave 3, add 5, remove 5, ban 3, " +
  "unban 3, mute 2, role 4, update 2, deleteRoom 1, retain 2, block 1, unblock 1, courses 3";
const weighted = OPERATIONS.split(", ").map((each) => each.split(" ") as [string, string]);
export const NAMES = weighted.map(([does]) => does);

export const anyOps = (maxLength: number): fc.Arbitrary<Op[]> => {
  const named = weighted.map(([does, weight]) => ({ arbitrary: fc.constant(does), weight: Number(weight) }));
  const small = fc.nat({ max: 999 });
  const numbers = { actor: small, user: small, room: small, number: small };
  const op = fc.record({ does: fc.oneof(...named), flag: fc.boolean(), ...numbers });
  return fc.array(op, { minLength: maxLength / 2, maxLength, size: "max" });
};

/** What the operations have made so far; ids of what may be gone stay in it. */
export interface World {
  node: StoreNode;
  rooms: RoomId[];
  messages: { id: MessageId; sender: UserId }[];
  sent: { actor: UserId; room: RoomId; clientMessageId: string }[];
  tokens: number;
}

export async function enter(node: StoreNode): Promise<World> {
  const world: World = { node, rooms: [], messages: [], sent: [], tokens: 0 };
  for (const userId of USERS) await syncCourses(world, userId, COURSES);
  for (const [i, type] of ["PUBLIC", "PRIVATE", "COURSE"].entries()) {
    await create(world, USERS[i] as UserId, type);
  }
  return world;
}

/** What was done, and the changes it told of; an error is a defect, a refusal is not. */
export async function perform(world: World, op: Op): Promise<{ code: string | null; changes: Change[] }> {
  const actor = pick(USERS, op.actor) as UserId;
  const user = pick(USERS, op.user) as UserId;
  const roomId = pick(op.room % 4 === 0 ? world.rooms : world.rooms.slice(0, 3), op.room);
  const { id: messageId, sender } = pick(world.messages, op.number) ?? {};
  const author = op.flag ? sender ?? actor : actor;
  if (roomId === undefined) return await create(world, actor, "PUBLIC");
  const asked = { roomId, actorId: actor, userId: user, isAdmin: op.number % 3 === 0 };
  const member = (patch: object) =>
    write(world, "update_member_v1", {
      ...{ ...asked, patch, minRanks: { role: RANK.admin, mute: RANK.moderator, ban: RANK.moderator } },
    });
  switch (op.does) {
    case "send":
      return await say(world, actor, roomId, `c${world.sent.length}`);
    case "repeat": {
      const before = pick(world.sent, op.number);
      return await say(world, before?.actor ?? actor, before?.room ?? roomId, before?.clientMessageId ?? "c");
    }
    case "direct":
      return await append(world, draftOf(toUser(actor, user), actor, `d${op.number % 50}`));
    case "edit":
      return await write(world, "edit_message_v1", {
        messageId,
        actorId: actor,
        content: `edited ${op.number}`,
      });
    case "delete":
      return await write(world, "delete_message_v1", {
        ...asked,
        actorId: author,
        messageId,
        minRank: RANK.moderator,
      });
    case "read": {
      const place = op.flag && messageId !== undefined ? { messageId } : { roomId, seq: op.number % 60 };
      return await write(world, "mark_read_v1", { ...place, userId: actor });
    }
    case "create":
      return await create(
        world,
        actor,
        pick(["PUBLIC", "PRIVATE", "STUDY_GROUP", "COURSE"], op.number) ?? "PUBLIC",
      );
    case "join":
      return await write(world, "join_room_v1", {
        ...asked,
        userId: actor,
        role: "MEMBER",
        courses: COURSES,
        limit: LIMIT,
      });
    case "leave":
      return await write(world, "leave_room_v1", { roomId, userId: actor });
    case "add": {
      const ranks = { minRank: RANK.moderator, minRankOpen: RANK.member, limit: LIMIT };
      return await write(world, "add_member_v1", { ...asked, ...ranks, role: pick(ROLES, op.number) });
    }
    case "remove":
      return await write(world, "remove_member_v1", { ...asked, minRank: RANK.moderator });
    case "ban":
      return await member({ isBlocked: true });
    case "unban":
      return await member({ isBlocked: false });
    case "mute":
      return await member({ isMuted: op.flag });
    case "role":
      return await member({ role: pick(ROLES, op.number) });
    case "update": {
      const patch = op.flag ? { name: `Name ${op.number}` } : { maxMembers: 1 + op.number % 5 };
      return await write(world, "update_room_v1", { ...asked, patch, minRank: RANK.admin });
    }
    case "deleteRoom":
      return await write(world, "delete_room_v1", { ...asked, minRank: RANK.owner });
    case "retain": {
      const answer = await retain(world.node.db, new Date(Date.now() + 60_000), 1 + op.number % 4);
      return { code: null, changes: changesOf(answer) };
    }
    case "block":
      return told(await blockUser(world.node.db, actor, user, directPair(actor, user).key));
    case "unblock":
      await unblockUser(world.node.db, actor, user);
      return { code: null, changes: [] };
    case "courses":
      return await syncCourses(world, actor, COURSES.filter((_, i) => op.number & (1 << i)));
    default:
      throw new Error(`No such operation: ${op.does}`);
  }
}

const pick = <T>(from: readonly T[], index: number): T | undefined => from[index % Math.max(from.length, 1)];

const told = (answer: WriteAnswer) => ({ code: answer.code, changes: changesOf(answer) });

async function write(
  world: World,
  name: WriteFunction,
  params: object,
): Promise<{ code: string | null; changes: Change[] }> {
  return told(await callWrite(world.node.db, name, params));
}

async function create(
  world: World,
  userId: UserId,
  type: string,
): Promise<{ code: string | null; changes: Change[] }> {
  const id = newRoomId();
  world.rooms.push(id);
  const courseId = type === "COURSE" ? pick(COURSES, world.rooms.length) : undefined;
  return await write(world, "create_room_v1", {
    id,
    name: "Room",
    type,
    courseId,
    isPrivate: type === "PRIVATE",
    userId,
  });
}

async function syncCourses(
  world: World,
  userId: UserId,
  courses: string[],
): Promise<{ code: null; changes: Change[] }> {
  const issuedAt = new Date(1_700_000_000_000 + world.tokens++ * 1_000).toISOString();
  const claims = { userId, name: userId, avatarUrl: null, role: "student", courses, issuedAt, limit: LIMIT };
  return { code: null, changes: (await syncUser(world.node.db, claims)).changes };
}

async function say(world: World, actor: UserId, room: RoomId, clientMessageId: string) {
  world.sent.push({ actor, room, clientMessageId });
  return await append(world, draftOf(toRoom(room), actor, clientMessageId));
}

async function append(
  world: World,
  draft: Parameters<typeof send>[1],
): Promise<{ code: string | null; changes: Change[] }> {
  const outcome = await send(world.node, draft);
  if (outcome.code !== null) return { code: outcome.code, changes: [] };
  const { roomId, seq, message: json, direct } = outcome;
  if (!world.rooms.includes(roomId)) world.rooms.push(roomId);
  world.messages.push({ id: JSON.parse(json).id, sender: draft.senderId });
  if (outcome.isRepeat) return { code: null, changes: [] };
  return {
    code: null,
    changes: [{ kind: "message", roomId, seq, firstSeq: seq, ended: false, json, direct }],
  };
}
