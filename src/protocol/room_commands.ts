/** The commands on rooms and on who is in them. */
import { z } from "zod";
import { define, done, minSeq, nextCursor, page } from "./command_spec.ts";
import * as limits from "./limits.ts";
import { MEMBER_ROLES } from "./models.ts";
import * as s from "./schemas.ts";

const privacy = z.boolean().optional();
const maxMembers = z.int().min(1).max(1_000_000).nullable().optional();
const inRoom = z.strictObject({ roomId: s.roomId });
const roomAnswer = z.strictObject({ room: s.room });
const memberAnswer = z.strictObject({ member: s.member });

export const roomCommands = {
  create_room: define({
    tag: "rooms",
    summary: "Make a room; its creator is its owner",
    rest: ["POST", "/rooms", 201],
    example: { name: "Study Group", type: "STUDY_GROUP" },
    input: z.strictObject({
      name: s.line(1, limits.ROOM_NAME_MAX),
      type: z.enum(["PUBLIC", "PRIVATE", "COURSE", "STUDY_GROUP"]).default("PUBLIC"),
      description: s.prose(limits.ROOM_DESCRIPTION_MAX).nullable().optional(),
      courseId: s.line(1, limits.COURSE_ID_MAX).optional(),
      isPrivate: privacy,
      maxMembers,
    }),
    output: roomAnswer,
  }),
  list_rooms: define({
    tag: "rooms",
    summary: "The rooms you are a member of, with unread counts; direct rooms are conversations",
    rest: ["GET", "/rooms"],
    input: z.strictObject(page),
    output: z.strictObject({ rooms: z.array(s.listedRoom), nextCursor }),
    concurrent: true,
  }),
  discover_rooms: define({
    tag: "rooms",
    summary: "Listed rooms, by name",
    rest: ["GET", "/rooms/discover"],
    input: z.strictObject({
      query: s.line(0, limits.SEARCH_QUERY_MAX).optional(),
      type: z.enum(["PUBLIC", "COURSE", "STUDY_GROUP"]).optional(),
      courseId: s.line(1, limits.COURSE_ID_MAX).optional(),
      ...page,
    }),
    output: z.strictObject({ rooms: z.array(s.listedRoom), nextCursor }),
    concurrent: true,
  }),
  get_room: define({
    tag: "rooms",
    summary: "One room",
    rest: ["GET", "/rooms/:roomId"],
    input: inRoom,
    output: z.strictObject({ room: s.listedRoom }),
    concurrent: true,
  }),
  update_room: define({
    tag: "rooms",
    summary: "Change a room's fields",
    rest: ["PATCH", "/rooms/:roomId"],
    example: { description: "Thursdays at five" },
    input: z.strictObject({
      roomId: s.roomId,
      name: s.line(1, limits.ROOM_NAME_MAX).optional(),
      description: s.prose(limits.ROOM_DESCRIPTION_MAX).nullable().optional(),
      isPrivate: privacy,
      maxMembers,
    }).refine((ask) => Object.keys(ask).length > 1, {
      error: "Expected at least one field to change",
      path: ["name"],
    }),
    output: roomAnswer,
  }),
  delete_room: define({
    tag: "rooms",
    summary: "Delete a room: its members are told, its history is unreadable afterwards",
    rest: ["DELETE", "/rooms/:roomId"],
    input: inRoom,
    output: done,
  }),
  join_room: define({
    tag: "members",
    summary: "Become a member. On a socket: hear the room from now on, after what changed since `since`",
    rest: ["POST", "/rooms/:roomId/join"],
    example: {},
    input: z.strictObject({ roomId: s.roomId, since: s.position.optional() }),
    output: s.catchUp,
  }),
  leave_room: define({
    tag: "members",
    summary: "End the membership. On a socket: only stop hearing the room, unless `membership` is true",
    rest: ["POST", "/rooms/:roomId/leave"],
    example: {},
    input: z.strictObject({ roomId: s.roomId, membership: z.boolean().optional() }),
    output: z.strictObject({ roomId: z.uuid() }),
  }),
  list_members: define({
    tag: "members",
    summary: "A room's members; for moderators also those who are banned",
    rest: ["GET", "/rooms/:roomId/members"],
    input: z.strictObject({
      roomId: s.roomId,
      status: z.enum(["active", "banned"]).default("active"),
      minSeq,
      ...page,
    }),
    output: z.strictObject({ members: z.array(s.member), nextCursor }),
    concurrent: true,
  }),
  add_member: define({
    tag: "members",
    summary: "Bring a user into a room",
    rest: ["POST", "/rooms/:roomId/members", 201],
    example: { userId: "grace" },
    input: z.strictObject({
      roomId: s.roomId,
      userId: s.userId,
      role: z.enum(MEMBER_ROLES).default("MEMBER"),
    }),
    output: memberAnswer,
  }),
  update_member: define({
    tag: "members",
    summary: "Change a member's role, mute or unmute, ban (isBlocked) or lift a ban",
    rest: ["PATCH", "/rooms/:roomId/members/:userId"],
    example: { role: "MODERATOR" },
    input: z.strictObject({
      roomId: s.roomId,
      userId: s.userId,
      role: z.enum(MEMBER_ROLES).optional(),
      isMuted: z.boolean().optional(),
      isBlocked: z.boolean().optional(),
    }).refine((ask) => ask.role !== undefined || ask.isMuted !== undefined || ask.isBlocked !== undefined, {
      error: "Expected role, isMuted or isBlocked",
      path: ["role"],
    }).refine((ask) => ask.isBlocked === undefined || (ask.role === undefined && ask.isMuted === undefined), {
      error: "Expected alone: a ban is a change of its own",
      path: ["isBlocked"],
    }),
    output: memberAnswer,
  }),
  remove_member: define({
    tag: "members",
    summary: "Take a member out of a room",
    rest: ["DELETE", "/rooms/:roomId/members/:userId"],
    input: z.strictObject({ roomId: s.roomId, userId: s.userId }),
    output: memberAnswer,
  }),
};
