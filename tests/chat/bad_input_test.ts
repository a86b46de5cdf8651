/** What a developer reads of bad input: the field, and what was expected of it, in one way of speaking. */
import { deepStrictEqual } from "node:assert/strict";
import { parseInput } from "../../src/chat/commands.ts";
import { type CommandName, commands } from "../../src/protocol/commands.ts";
import { ChatError } from "../../src/protocol/errors.ts";

function told(command: CommandName, input: unknown): string {
  try {
    parseInput(commands[command].input, input);
  } catch (fault) {
    if (fault instanceof ChatError) return fault.message;
  }
  return "nothing";
}

Deno.test("parseInput() names the field and what was expected", () => {
  const cases: [CommandName, unknown, string][] = [
    ["create_room", {}, "name: Expected string, received nothing"],
    ["create_room", { name: 5 }, "name: Expected string, received number"],
    ["create_room", "text", "Expected object, received string"],
    ["create_room", { name: "a", extra: 1 }, "extra: no such field"],
    ["list_rooms", { limit: 1_000 }, "limit: Expected number to be <=100"],
    [
      "update_status",
      { status: "gone" },
      'status: Expected one of "online"|"away"|"busy"|"invisible"',
    ],
    ["join_room", { roomId: "lobby" }, "roomId: Expected an id (UUID)"],
  ];
  for (const [command, input, expected] of cases) deepStrictEqual(told(command, input), expected);
});
