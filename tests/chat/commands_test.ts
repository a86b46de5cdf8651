/** The whole command table at every door, once: a valid input of each command gets the answer that is published for it. */
import { deepStrictEqual } from "node:assert/strict";
import { type CommandName, commands } from "../../src/protocol/commands.ts";
import { DOOR_NAMES, startDoors } from "../helpers/doors.ts";
import { FileClient } from "../helpers/uploads.ts";
import { claimsOf, setScene } from "../suites/scene.ts";
import { VALID } from "../suites/valid_inputs.ts";

/** In an order in which none spoils the next. */
const LAST: CommandName[] = [
  "delete_message",
  "update_member",
  "leave_room",
  "block_user",
  "unblock_user",
  "delete_room",
];

for (const doorName of DOOR_NAMES) {
  Deno.test(`${doorName}: every command of the table answers in its published shape`, async () => {
    await using parts = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "scroll-chat-files-" });
    parts.defer(() => Deno.remove(folder, { recursive: true }));
    const doors = parts.use(await startDoors({ env: { FILES_DIR: folder } }));
    const door = doors[doorName];
    const scene = await setScene(doors.rest);
    const uploader = new FileClient(doors.app.url, "member", await doors.app.tokenFor("member"));
    const { id: fileId } = await uploader.upload(scene.rooms.open, "a file");
    const names = (Object.keys(commands) as CommandName[])
      .filter((name) => doorName !== "rest" || commands[name].rest !== undefined)
      .sort((a, b) => LAST.indexOf(a) - LAST.indexOf(b));
    const answered: CommandName[] = [];
    for (const name of names) {
      const [by, inputOf] = VALID[name];
      const client = await door.as(by, claimsOf(by));
      const input = name === "authenticate" ? { token: await doors.app.tokenFor(by) } : inputOf(scene);
      // whoever is to be removed has left by another command
      if (name === "remove_member") input["userId"] = "muted";
      if (input["fileId"] !== undefined) input["fileId"] = fileId;
      await client.call(name, input);
      answered.push(name);
    }
    deepStrictEqual(answered, names);
  });
}
