/** How a row of the table of refusals is written: what a command is told, who asked, and why not. */
import type { CommandName } from "../../src/protocol/commands.ts";
import type { ErrorCode } from "../../src/protocol/errors.ts";
import type { Json } from "../helpers/doors.ts";
import { ABSENT, type Person, type Scene } from "./scene.ts";

export const REASONS = [
  "not signed in",
  /** Of a room that one may know of: 403. */
  "not a member",
  /** A private room, another course's, others' direct room: 404, as if it were not there. */
  "unknown to you",
  "absent",
  "gone room",
  "banned",
  "lost course",
  "blocked",
  "muted",
  "wrong role",
  "direct room",
  "present state",
  // made from the schema, with some by hand
  "bad field",
  "missing field",
  "too long",
  "wrong type",
  "unknown key",
] as const;
export type Reason = (typeof REASONS)[number];

export interface Refusal {
  command: CommandName;
  reason: Reason;
  by: Person;
  code: ErrorCode;
  input: (scene: Scene) => Json;
  /** `details.field` of the error. */
  field?: string;
}

/** An input that names what is in the scene. */
export type InScene = (scene: Scene) => Json;
export type Rest = readonly [by: Person, code: ErrorCode, input: InScene, field?: string];

/** One row for each command, with what all of them share. */
export function rows(reason: Reason, table: Partial<Record<CommandName, Rest | readonly Rest[]>>): Refusal[] {
  return Object.entries(table).flatMap(([command, cell]) => {
    const cells = (Array.isArray(cell[0]) ? cell : [cell]) as readonly Rest[];
    return cells.map(([by, code, input, field]) => ({
      command: command as CommandName,
      reason,
      by,
      code,
      input,
      ...(field === undefined ? {} : { field }),
    }));
  });
}

export const TEXT = { content: "let me in" };
export type RoomName = keyof Scene["rooms"];

export const reply = (to: keyof Scene["messages"] | "absent"): InScene => (scene) => ({
  roomId: scene.rooms.open,
  ...TEXT,
  replyToId: to === "absent" ? ABSENT : scene.messages[to],
});
export const inOpen = (more: Json): InScene => (scene) => ({ roomId: scene.rooms.open, ...more });
export const inRoom = (room: RoomName, more: Json = {}): InScene => (scene) => ({
  roomId: scene.rooms[room],
  ...more,
});
export const message = (name: keyof Scene["messages"], more: Json = {}): InScene => (scene) => ({
  messageId: scene.messages[name],
  ...more,
});
