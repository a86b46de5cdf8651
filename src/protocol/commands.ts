/**
 * The one table of commands: input, output, and where REST has each. Routes, sockets, OpenAPI and AsyncAPI are
 * made from it; chat/commands.ts binds each to its rule.
 */
import { z } from "zod";
import { define, done } from "./command_spec.ts";
import { fileCommands } from "./file_commands.ts";
import * as limits from "./limits.ts";
import { messageCommands } from "./message_commands.ts";
import { presenceCommands } from "./presence_commands.ts";
import { readingCommands } from "./reading_commands.ts";
import { roomCommands } from "./room_commands.ts";
import * as s from "./schemas.ts";
import { searchCommands } from "./search_commands.ts";

export type { CommandSpec, RestBinding } from "./command_spec.ts";

export const commands = {
  ...roomCommands,
  ...messageCommands,
  ...fileCommands,
  ...searchCommands,
  ...readingCommands,
  ...presenceCommands,
  authenticate: define({
    tag: "session",
    summary:
      "Give a fresh token: the first command of a socket that came without one, and whenever one is to be renewed",
    input: z.strictObject({ token: z.string().min(1).max(16_384) }),
    output: z.strictObject({ userId: z.string(), expiresAt: z.iso.datetime() }),
  }),
  sync: define({
    tag: "sync",
    summary:
      "What changed in all of your rooms since the positions you have, rooms gone and new; on a socket also hear them",
    rest: ["POST", "/sync"],
    example: { positions: {} },
    input: z.strictObject({
      positions: z.record(s.roomId as unknown as z.ZodString, s.position).default({}).refine(
        (positions) => Object.keys(positions).length <= limits.SYNC_POSITIONS_MAX,
        { error: `Expected at most ${limits.SYNC_POSITIONS_MAX} positions` },
      ),
    }),
    output: z.strictObject({
      epoch: z.string(),
      inbox: s.position,
      rooms: z.array(s.catchUp).meta({
        description: "Rooms that changed, and rooms that the caller named no position for",
      }),
      gone: z.array(z.uuid()).meta({
        description: "Named in `positions`, but the caller is no member any more",
      }),
      unheard: z.array(z.uuid()).meta({
        description:
          "On a socket: rooms beyond those that one connection may hear. They are told here, but not live",
      }),
      more: z.boolean().meta({ description: "Call again, with the positions of this answer" }),
    }),
  }),
  block_user: define({
    tag: "blocks",
    summary: "Stop direct messages with a user, both ways",
    rest: ["PUT", "/blocks/:userId"],
    input: z.strictObject({ userId: s.userId }),
    output: done,
  }),
  unblock_user: define({
    tag: "blocks",
    summary: "Allow direct messages again",
    rest: ["DELETE", "/blocks/:userId"],
    input: z.strictObject({ userId: s.userId }),
    output: done,
  }),
  list_blocked: define({
    tag: "blocks",
    summary: "The users you have blocked",
    rest: ["GET", "/blocks"],
    input: z.strictObject({}),
    output: z.strictObject({
      users: z.array(z.strictObject({ ...s.userProfile.shape, blockedAt: z.iso.datetime() })),
    }),
    concurrent: true,
  }),
};

export type CommandName = keyof typeof commands;
export type CommandInput<N extends CommandName> = z.output<(typeof commands)[N]["input"]>;

/** `hasOwn`: a client may well send "constructor". */
export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}
