/** Messages at every door: sent once, kept as written, edited, deleted to a tombstone. Reading them: history_test.ts. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { codeOf, type DoorClient, type Json, refusalOf } from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people } from "../suites/door_suite.ts";

const contents = (messages: Json[]): string[] => messages.map(({ content }) => content);

atEveryDoor(
  "send_message numbers, answers and tells every member, the sender's other devices too",
  async (door) => {
    const [ada] = await people(door, "ada", "bob");
    const roomId = await makeRoom(ada, ["bob"]);
    const [device, bobs] = [await door.ear("ada"), await door.ear("bob")];
    const { position } = await device.call("join_room", { roomId });
    await bobs.call("join_room", { roomId });
    const first =
      (await ada.call("send_message", { roomId, content: "one", type: "TEXT", clientMessageId: "m-1" }))
        .message;
    const second = (await ada.call("send_message", { roomId, content: "two", replyToId: first.id })).message;
    deepStrictEqual([first.senderId, first.clientMessageId, first.seq, first.changeSeq], [
      "ada",
      "m-1",
      position.seq + 1,
      position.seq + 1,
    ]);
    deepStrictEqual([first.isEdited, first.isDeleted, first.editedAt, first.deletedAt, first.replyToId], [
      false,
      false,
      null,
      null,
      null,
    ]);
    deepStrictEqual([second.seq, second.replyToId], [first.seq + 1, first.id]);
    strictEqual(
      second.clientMessageId,
      second.id,
      "the id stands in for a clientMessageId that was not given",
    );
    for (const ear of [device, bobs]) {
      await ear.next("message_received", ({ seq }) => seq === second.seq);
      deepStrictEqual(ear.events("message_received"), [
        { message: first, roomId, after: first.seq - 1, seq: first.seq },
        { message: second, roomId, after: first.seq, seq: second.seq },
      ]);
    }
  },
);

atEveryDoor("the same clientMessageId is one message, at this door and across them", async (door, doors) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const others = [await doors.rest.as("ada"), await doors.socket.as("ada")];
  const roomId = await makeRoom(ada, ["bob"]);
  const ear = await door.ear("bob");
  await ear.call("join_room", { roomId });
  const ask = { roomId, content: "once", clientMessageId: "again and again" };
  const { message } = await ada.call("send_message", ask);
  for (const client of [ada, ...others]) {
    deepStrictEqual((await client.call("send_message", { ...ask, content: "otherwise" })).message, message);
  }
  // at once, from everywhere
  const racers = Array.from({ length: 30 }, (_, i) => [ada, ...others][i % 3] as DoorClient);
  const raced = await Promise.all(
    racers.map((client) => client.call("send_message", { ...ask, clientMessageId: "race" })),
  );
  strictEqual(new Set(raced.map((answer) => JSON.stringify(answer))).size, 1);
  // it is the sender's and the room's own
  const bobs = (await bob.call("send_message", ask)).message;
  ok(bobs.id !== message.id);
  const elsewhere = await makeRoom(ada);
  ok((await ada.call("send_message", { ...ask, roomId: elsewhere })).message.id !== message.id);
  // edited meanwhile: answered as it is now
  const edited = (await ada.call("update_message", { messageId: message.id, content: "edited" })).message;
  deepStrictEqual((await ada.call("send_message", ask)).message, edited);
  await ear.next("message_updated");
  strictEqual(ear.events("message_received").length, 3);
  strictEqual((await bob.call("list_messages", { roomId })).messages.length, 3);
});

const KEPT = [
  "<b>bold</b> & <script>alert('x')</script> &amp;",
  "```ts\nconst x = `${y}`;\n\tif (x < 3 && y > 2) {}\n```",
  "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇬🇷 e\u0301 é",
  "שלום \u202bעולם\u202c العربية",
  "  leading, trailing  \n\n\tand tabs\t ",
  "\\u0041 \\0 %00 '\"; --",
  "\u00a0\u200b\u2028\u2029\ufeff\ufffe",
  "𝒳".repeat(10),
];
const CLEANED = [
  ["a\r\nb\r\n", "a\nb\n"],
  ["a\u0000b\u0007c\u001b[31md\u007fe\u0085f", "abc[31mdef"],
  ["half \ud83d of a pair", "half \ufffd of a pair"],
  ["\udc00\ud800", "\ufffd\ufffd"],
] as const;

atEveryDoor(
  "content is kept as written; carriage returns, control characters and lone surrogates are not",
  async (door) => {
    const [ada, bob] = await people(door, "ada", "bob");
    const roomId = await makeRoom(ada, ["bob"]);
    const ear = await door.ear("bob");
    await ear.call("join_room", { roomId });
    const cases = [...KEPT.map((text) => [text, text] as const), ...CLEANED];
    const answered: string[] = [];
    for (const [content] of cases) {
      const { message } = await ada.call("send_message", { roomId, content });
      answered.push(message.content);
    }
    const wanted = cases.map(([, content]) => content);
    deepStrictEqual(answered, wanted);
    deepStrictEqual(contents((await bob.call("list_messages", { roomId, limit: 100 })).messages), wanted);
    await ear.until("message_received", wanted.length);
    deepStrictEqual(contents(ear.events("message_received").map(({ message }) => message)), wanted);
    const { message } = await ada.call("send_message", { roomId, content: "to be edited" });
    for (const [content, kept] of cases) {
      strictEqual(
        (await ada.call("update_message", { messageId: message.id, content })).message.content,
        kept,
      );
    }
  },
);

atEveryDoor(
  "content may have as many characters as the limit says, counted as people count, and not one more",
  async (door) => {
    const [ada] = await people(door, "ada", "bob");
    const roomId = await makeRoom(ada);
    for (const character of ["x", "é", "ﷺ", "🕊"]) {
      const most = character.repeat(100);
      const { message } = await ada.call("send_message", { roomId, content: most });
      strictEqual(message.content, most);
      strictEqual(
        (await ada.call("send_direct_message", { recipientId: "bob", content: most })).message.content,
        most,
      );
      strictEqual(
        (await ada.call("update_message", { messageId: message.id, content: most })).message.content,
        most,
      );
      for (
        const call of [
          ada.call("send_message", { roomId, content: `${most}${character}` }),
          ada.call("send_direct_message", { recipientId: "bob", content: `${most}${character}` }),
          ada.call("update_message", { messageId: message.id, content: `${most}${character}` }),
        ]
      ) {
        const { code, body } = await refusalOf(call);
        deepStrictEqual([code, body.details.field], ["invalid_request", "content"]);
      }
      // what is removed does not count
      strictEqual(
        (await ada.call("send_message", { roomId, content: `${most}\u0000\r` })).message.content,
        most,
      );
    }
  },
  { env: { CHAT_MAX_MESSAGE_LENGTH: "100" } },
);

atEveryDoor("replyToId names a message of the same room, deleted or not", async (door) => {
  const [ada] = await people(door, "ada", "bob");
  const [roomId, otherId] = [await makeRoom(ada), await makeRoom(ada)];
  const here = (await ada.call("send_message", { roomId, content: "here" })).message;
  const there = (await ada.call("send_message", { roomId: otherId, content: "there" })).message;
  const direct =
    (await ada.call("send_direct_message", { recipientId: "bob", content: "between us" })).message;
  const reply = (replyToId: string) => ada.call("send_message", { roomId, content: "re", replyToId });
  for (const { id } of [there, direct]) {
    const { code, body } = await refusalOf(reply(id));
    deepStrictEqual([code, body.details.field], ["invalid_request", "replyToId"]);
  }
  strictEqual((await reply(here.id)).message.replyToId, here.id);
  strictEqual((await reply(here.id.toUpperCase())).message.replyToId, here.id);
  await ada.call("delete_message", { messageId: here.id });
  strictEqual((await reply(here.id)).message.replyToId, here.id);
  const answer = await ada.call("send_direct_message", {
    recipientId: "bob",
    content: "re",
    replyToId: direct.id,
  });
  strictEqual(answer.message.replyToId, direct.id);
});

atEveryDoor("update_message keeps place and time of making, and says when it was edited", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const ear = await door.ear("bob");
  await ear.call("join_room", { roomId });
  const { message } = await ada.call("send_message", { roomId, content: "frist", type: "IMAGE" });
  await bob.call("send_message", { roomId, content: "second" });
  const edited = (await ada.call("update_message", { messageId: message.id, content: "first" })).message;
  deepStrictEqual(edited, {
    ...message,
    content: "first",
    isEdited: true,
    editedAt: edited.editedAt,
    changeSeq: message.seq + 2,
  });
  ok(edited.editedAt >= message.createdAt);
  deepStrictEqual(await ear.next("message_updated"), {
    message: edited,
    roomId,
    after: message.seq + 1,
    seq: message.seq + 2,
  });
  deepStrictEqual(contents((await bob.call("list_messages", { roomId })).messages), ["first", "second"]);
  strictEqual(
    await codeOf(bob.call("update_message", { messageId: message.id, content: "mine" })),
    "forbidden",
  );
});

atEveryDoor("delete_message leaves a tombstone, and its words are nowhere any more", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const ear = await door.ear("bob");
  const { position } = await ear.call("join_room", { roomId });
  const ask = { roomId, content: "unforgettable words", clientMessageId: "m-1" };
  const { message } = await ada.call("send_message", ask);
  const direct =
    (await ada.call("send_direct_message", { recipientId: "bob", content: "unforgettable secret" })).message;
  strictEqual((await bob.call("search_messages", { query: "unforgettable" })).messages.length, 1);

  const tombstone = (await ada.call("delete_message", { messageId: message.id })).message;
  deepStrictEqual(tombstone, {
    ...message,
    content: "",
    isDeleted: true,
    deletedAt: tombstone.deletedAt,
    changeSeq: message.seq + 1,
  });
  const stone = (await ada.call("delete_message", { messageId: direct.id })).message;
  deepStrictEqual([stone.content, stone.isDeleted, stone.recipientId], ["", true, "bob"]);
  deepStrictEqual((await ear.next("message_deleted", (data) => data.roomId === roomId)).message, tombstone);
  deepStrictEqual(
    (await ear.next("message_deleted", (data) => data.roomId === direct.roomId)).message,
    stone,
  );

  const answers = {
    history: await bob.call("list_messages", { roomId }),
    catchUp: await bob.call("join_room", { roomId, since: position }),
    newest: await bob.call("join_room", { roomId }),
    sync: await bob.call("sync", { positions: { [roomId]: position } }),
    search: await bob.call("search_messages", { query: "unforgettable" }),
    conversations: await bob.call("list_conversations"),
    direct: await bob.call("list_direct_messages", { userId: "ada" }),
    repeat: await ada.call("send_message", ask),
    again: await ada.call("delete_message", { messageId: message.id }),
  };
  for (const [name, answer] of Object.entries(answers)) {
    ok(!JSON.stringify(answer).includes("unforgettable"), name);
  }
  deepStrictEqual(answers.history.messages, [tombstone]);
  deepStrictEqual(answers.catchUp.messages, [tombstone]);
  deepStrictEqual(answers.repeat.message, tombstone);
  deepStrictEqual(answers.again.message, tombstone);
  deepStrictEqual(answers.search.messages, []);
  deepStrictEqual(answers.conversations.conversations[0].lastMessage, stone);
  strictEqual(
    await codeOf(ada.call("update_message", { messageId: message.id, content: "again" })),
    "not_found",
  );
});

atEveryDoor("moderators delete what others wrote, members what they wrote themselves", async (door) => {
  const [ada, mod, bob] = await people(door, "ada", "mod", "bob");
  const roomId = await makeRoom(ada, [["mod", "MODERATOR"], "bob"]);
  const say = async (client: DoorClient): Promise<string> =>
    (await client.call("send_message", { roomId, content: "hm" })).message.id;
  for (const [deleter, author] of [[mod, bob], [mod, ada], [ada, mod], [bob, bob]] as const) {
    strictEqual(
      (await deleter.call("delete_message", { messageId: await say(author) })).message.isDeleted,
      true,
    );
  }
  strictEqual(await codeOf(bob.call("delete_message", { messageId: await say(mod) })), "forbidden");
});

atEveryDoor("what one client asks in order happens in order", async (door) => {
  const [ada] = await people(door, "ada");
  const roomId = await makeRoom(ada);
  const ear = await door.ear("ada");
  await ear.call("join_room", { roomId });
  const wanted = Array.from({ length: 60 }, (_, i) => `${i}`);
  await Promise.all(wanted.map((content) => ear.call("send_message", { roomId, content })));
  deepStrictEqual(contents((await ada.call("list_messages", { roomId, limit: 100 })).messages), wanted);
});
