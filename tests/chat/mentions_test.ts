/** Mentions, at every door: who is named in a message, by id or by @name in its text, and what becomes of it. */
import { deepStrictEqual } from "node:assert/strict";
import postgres from "postgres";
import type { DoorClient, Json } from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people, signedIn } from "../suites/door_suite.ts";

const say = async (by: DoorClient, roomId: string, content: string, mentions?: string[]): Promise<Json> =>
  (await by.call("send_message", { roomId, content, ...mentions === undefined ? {} : { mentions } })).message;

atEveryDoor("a member is named by @name or @id as a word of its own, whatever the case", async (door) => {
  const [ada] = await people(door, "ada");
  const names = {
    "u-1": "Grace Hopper",
    "u-2": "Grace",
    "u-3": "o'Neil (prof.)",
    "u-4": "Зоя",
    "u-5": "李雷",
    "u.6": "x",
  };
  for (const [id, name] of Object.entries(names)) await signedIn(door, id, { name });
  await signedIn(door, "stranger", { name: "Stranger" });
  const roomId = await makeRoom(ada, Object.keys(names));
  const cases: [string, string[]][] = [
    ["@grace hello", ["u-2"]],
    ["hello @GRACE HOPPER!", ["u-1", "u-2"]],
    ["(@Grace)", ["u-2"]],
    ["@gracefully", []],
    ["grace", []],
    ["mail@grace.example", []],
    ["ask @o'neil (prof.) or @u-1", ["u-1", "u-3"]],
    ["@зоя и @李雷", ["u-4", "u-5"]],
    ["@u.6, not @ux6", ["u.6"]],
    ["@stranger", []],
    ["@ada talks to herself", ["ada"]],
    ["@", []],
    ["@@x", ["u.6"]],
    ["line\n@x\nline", ["u.6"]],
  ];
  for (const [content, named] of cases) {
    deepStrictEqual((await say(ada, roomId, content)).mentions, named, content);
  }
});

atEveryDoor(
  "a message names members alone, once each, and an edit or a deletion names anew",
  async (door) => {
    const [ada, bob, cyd] = await people(door, "ada", "bob", "cyd", "dan");
    const roomId = await makeRoom(ada, ["bob", "cyd"]);
    const mentionsOf = async (client: DoorClient): Promise<number> =>
      (await client.call("get_room", { roomId })).room.unread.mentions;
    const ear = await door.ear("bob");
    await ear.call("join_room", { roomId });
    const message = await say(ada, roomId, "@bob", ["bob", "cyd", "dan", "nobody"]);
    deepStrictEqual(message.mentions, ["bob", "cyd"]);
    deepStrictEqual((await ear.next("message_received")).message, message);
    deepStrictEqual([await mentionsOf(bob), await mentionsOf(cyd)], [1, 1]);
    const edited = await ada.call("update_message", { messageId: message.id, content: "@cyd" });
    deepStrictEqual(edited.message.mentions, ["cyd"]);
    deepStrictEqual([await mentionsOf(bob), await mentionsOf(cyd)], [0, 1]);
    const named = await ada.call("update_message", {
      messageId: message.id,
      content: "you",
      mentions: ["bob"],
    });
    deepStrictEqual(named.message.mentions, ["bob"]);
    deepStrictEqual([await mentionsOf(bob), await mentionsOf(cyd)], [1, 0]);
    const deleted = await ada.call("delete_message", { messageId: message.id });
    deepStrictEqual(deleted.message.mentions, []);
    deepStrictEqual([await mentionsOf(bob), await mentionsOf(cyd)], [0, 0]);
    await say(bob, roomId, "@bob @ada");
    deepStrictEqual([await mentionsOf(bob), await mentionsOf(ada)], [0, 1]); // oneself does not count
  },
);

atEveryDoor(
  "a direct message names its other user; a very large room is named by ids alone",
  async (door, doors) => {
    const [ada, bob] = await people(door, "ada", "bob");
    const { message } = await ada.call("send_direct_message", {
      recipientId: "bob",
      content: "hey @bob and @ada",
    });
    deepStrictEqual(message.mentions, ["ada", "bob"]);
    const [conversation] = (await bob.call("list_conversations")).conversations;
    deepStrictEqual([conversation.unread.count, conversation.unread.mentions], [1, 1]);
    const roomId = await makeRoom(ada, ["bob"]);
    const sql = postgres(doors.app.database.url, { max: 1 });
    await sql`update rooms set member_count = 2001 where id = ${roomId}`;
    await sql.end();
    deepStrictEqual((await say(ada, roomId, "@bob")).mentions, []);
    deepStrictEqual((await say(ada, roomId, "@bob", ["bob"])).mentions, ["bob"]);
  },
);

atEveryDoor("whoever names rides along: every message has its sender's profile", async (door) => {
  const ada = await signedIn(door, "ada", { name: "Ada L." });
  const roomId = await makeRoom(ada);
  const message = await say(ada, roomId, "hello");
  deepStrictEqual(message.sender, { id: "ada", name: "Ada L.", avatarUrl: null });
  const renamed = await signedIn(door, "ada", {
    name: "Ada King",
    issuedAt: Math.floor(Date.now() / 1000) + 1,
  });
  const { messages } = await renamed.call("list_messages", { roomId });
  deepStrictEqual(messages.map(({ sender }: Json) => sender.name), ["Ada King"]); // as they are called now
});
