/** Direct messages at every door: two users and nobody else, whatever they are and whatever they ask. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { codeOf, type DoorClient, type Json, refusalOf } from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people, readPages, signedIn } from "../suites/door_suite.ts";

const write = async (from: DoorClient, to: string, content = "hello"): Promise<Json> =>
  (await from.call("send_direct_message", { recipientId: to, content })).message;
const contents = (messages: Json[]): string[] => messages.map(({ content }) => content);

atEveryDoor("send_direct_message goes both ways, to all devices of both and to nobody else", async (door) => {
  const [ada, bob, eve] = await people(door, "ada", "bob", "eve");
  const ears = { ada: await door.ear("ada"), bob: await door.ear("bob"), eve: await door.ear("eve") };
  const first = await write(ada, "bob", "psst");
  const second = await write(bob, "ada", "yes?");
  deepStrictEqual([first.senderId, first.recipientId, first.isRead, first.readAt, first.seq], [
    "ada",
    "bob",
    false,
    null,
    1,
  ]);
  deepStrictEqual([second.roomId, second.senderId, second.recipientId, second.seq], [
    first.roomId,
    "bob",
    "ada",
    2,
  ]);
  for (const ear of [ears.ada, ears.bob]) {
    await ear.until("direct_message_received", 2);
    const pushes = ear.events("direct_message_received");
    deepStrictEqual(pushes.map(({ message, after, seq }) => [message, after, seq]), [[first, 0, 1], [
      second,
      1,
      2,
    ]]);
    // each stands in the reader's own inbox, without a hole
    deepStrictEqual(pushes[1].inbox, { after: pushes[0].inbox.seq, seq: pushes[0].inbox.seq + 1 });
  }
  await ears.eve.settled();
  const events = ears.eve.socket.pushes.map(({ event }) => event);
  deepStrictEqual(events.filter((event) => event !== "status_updated"), ["hello"]); // her own coming apart
  deepStrictEqual((await ada.call("list_direct_messages", { userId: "bob" })).messages, [first, second]);
  deepStrictEqual((await bob.call("list_direct_messages", { userId: "ada" })).roomId, first.roomId);
  const none = await eve.call("list_direct_messages", { userId: "ada" });
  deepStrictEqual([none.roomId, none.messages, none.hasMoreBefore, none.hasMoreAfter], [
    null,
    [],
    false,
    false,
  ]);
});

atEveryDoor("a note to oneself is a conversation with oneself", async (door) => {
  const [ada] = await people(door, "ada");
  const device = await door.ear("ada");
  const note = await write(ada, "ada", "milk");
  deepStrictEqual([note.senderId, note.recipientId], ["ada", "ada"]);
  deepStrictEqual((await device.next("direct_message_received")).message, note);
  await device.settled();
  strictEqual(device.events("direct_message_received").length, 1);
  const [conversation] = (await ada.call("list_conversations")).conversations;
  deepStrictEqual([conversation.user.id, conversation.unread.count, conversation.lastMessage], [
    "ada",
    0,
    note,
  ]);
  deepStrictEqual((await ada.call("list_direct_messages", { userId: "ada" })).messages, [note]);
});

atEveryDoor("an unknown recipient is not found, and no room is made for them", async (door, doors) => {
  const [ada] = await people(door, "ada");
  const { code, body } = await refusalOf(
    ada.call("send_direct_message", { recipientId: "nobody", content: "hello?" }),
  );
  deepStrictEqual([code, body.details.field], ["not_found", "recipientId"]);
  deepStrictEqual((await ada.call("list_conversations")).conversations, []);
  // once they have signed in, they can be written to
  await people(doors.rest, "nobody");
  strictEqual((await write(ada, "nobody")).seq, 1);
});

atEveryDoor("a block stops writing both ways, by whatever command, until it is lifted", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob", "cyd");
  const before = { ada: await write(ada, "bob", "first"), bob: await write(bob, "ada", "second") };
  const { roomId } = before.ada;
  const attempts = (client: DoorClient, other: string, own: string) =>
    Promise.all([
      codeOf(client.call("send_direct_message", { recipientId: other, content: "hey" })),
      codeOf(client.call("send_message", { roomId, content: "hey" })),
      codeOf(client.call("update_message", { messageId: own, content: "hey" })),
    ]);
  for (const [blocker, blocked] of [["ada", "bob"], ["bob", "ada"]] as const) {
    const who = blocker === "ada" ? ada : bob;
    deepStrictEqual(await who.call("block_user", { userId: blocked }), {});
    deepStrictEqual(await who.call("block_user", { userId: blocked }), {}); // twice is once
    deepStrictEqual((await who.call("list_blocked")).users.map(({ id }: Json) => id), [blocked]);
    deepStrictEqual(await attempts(ada, "bob", before.ada.id), Array(3).fill("blocked"));
    deepStrictEqual(await attempts(bob, "ada", before.bob.id), Array(3).fill("blocked"));
    // what was said stays to read, and can be taken back; others are not concerned
    deepStrictEqual(contents((await bob.call("list_direct_messages", { userId: "ada" })).messages), [
      "first",
      "second",
    ]);
    await write(ada, "cyd");
    await who.call("unblock_user", { userId: blocked });
    deepStrictEqual((await who.call("list_blocked")).users, []);
  }
  strictEqual((await write(ada, "bob", "peace")).seq, 3);
  await ada.call("block_user", { userId: "bob" });
  strictEqual((await bob.call("delete_message", { messageId: before.bob.id })).message.isDeleted, true);
  // a block before the first message
  await ada.call("block_user", { userId: "cyd" });
  const cyd = await door.as("cyd");
  strictEqual(
    await codeOf(cyd.call("send_direct_message", { recipientId: "ada", content: "hi" })),
    "blocked",
  );
});

atEveryDoor("a block made before there was a conversation leaves no room behind", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  await ada.call("block_user", { userId: "bob" });
  for (const [from, to] of [[ada, "bob"], [bob, "ada"]] as const) {
    strictEqual(
      await codeOf(from.call("send_direct_message", { recipientId: to, content: "hi" })),
      "blocked",
    );
  }
  deepStrictEqual((await bob.call("list_conversations")).conversations, []);
  deepStrictEqual((await bob.call("sync", {})).rooms, []);
});

atEveryDoor("nobody else has a way in, platform admins neither", async (door) => {
  const [ada, eve] = await people(door, "ada", "bob", "eve");
  void eve;
  const { roomId, id: messageId } = await write(ada, "bob", "unheard of");
  const strangers = [
    await signedIn(door, "stranger"),
    await signedIn(door, "root", { role: "admin" }),
    await signedIn(door, "tina", { role: "teacher" }),
  ];
  const attempts: [string, Json][] = [
    ["get_room", { roomId }],
    ["join_room", { roomId }],
    ["join_room", { roomId, since: { epoch: "e", seq: 0 } }],
    ["leave_room", { roomId, membership: true }],
    ["list_members", { roomId }],
    ["list_members", { roomId, status: "banned" }],
    ["list_messages", { roomId }],
    ["search_messages", { query: "unheard", roomId }],
    ["send_message", { roomId, content: "let me in" }],
    ["update_room", { roomId, name: "ours" }],
    ["delete_room", { roomId }],
    ["add_member", { roomId, userId: "stranger" }],
    ["update_member", { roomId, userId: "bob", isBlocked: true }],
    ["remove_member", { roomId, userId: "bob" }],
    ["update_message", { messageId, content: "mine" }],
    ["delete_message", { messageId }],
    ["mark_as_read", { messageId }],
  ];
  for (const stranger of strangers) {
    for (const [command, input] of attempts) {
      strictEqual(await codeOf(stranger.call(command, input)), "not_found", `${stranger.userId} ${command}`);
    }
    deepStrictEqual((await stranger.call("search_messages", { query: "unheard" })).messages, []);
    deepStrictEqual((await stranger.call("list_conversations")).conversations, []);
    deepStrictEqual((await stranger.call("list_direct_messages", { userId: "ada" })).messages, []);
    deepStrictEqual((await stranger.call("discover_rooms")).rooms, []);
    deepStrictEqual((await stranger.call("list_rooms")).rooms, []);
    deepStrictEqual((await stranger.call("sync", { positions: { [roomId]: { epoch: "e", seq: 0 } } })).gone, [
      roomId,
    ]);
    const mine = { roomId, content: "let me in", replyToId: messageId };
    strictEqual(await codeOf(stranger.call("send_message", mine)), "not_found");
  }
  const { messages } = await ada.call("list_direct_messages", { userId: "bob" });
  deepStrictEqual(contents(messages), ["unheard of"]);
});

atEveryDoor("its two users reach a direct room by its id as well, and manage nothing there", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const { roomId } = await write(ada, "bob", "one");
  const { message } = await bob.call("send_message", { roomId, content: "two" });
  deepStrictEqual([message.recipientId, message.seq], ["ada", 2]);
  deepStrictEqual(contents((await ada.call("list_messages", { roomId })).messages), ["one", "two"]);
  strictEqual((await ada.call("get_room", { roomId })).room.type, "DIRECT");
  strictEqual((await ada.call("list_members", { roomId })).members.length, 2);
  strictEqual(await codeOf(ada.call("add_member", { roomId, userId: "bob" })), "forbidden");
  strictEqual(await codeOf(ada.call("leave_room", { roomId, membership: true })), "forbidden");
  // not in the lists of rooms, nor in any search
  deepStrictEqual((await ada.call("list_rooms")).rooms, []);
  deepStrictEqual((await ada.call("search_messages", { query: "one" })).messages, []);
  deepStrictEqual((await ada.call("search_messages", { query: "one", roomId })).messages, []);
});

atEveryDoor(
  "mark_as_read marks what the other one wrote, up to there, also what was answered before",
  async (door) => {
    const [ada, bob] = await people(door, "ada", "bob");
    const first = await write(ada, "bob", "1");
    await write(bob, "ada", "2"); // moves bob's marker past the first
    const [third] = [await write(ada, "bob", "3"), await write(ada, "bob", "4")];
    const adas = async (): Promise<Json[]> =>
      (await ada.call("list_direct_messages", { userId: "bob" })).messages
        .filter(({ senderId }: Json) => senderId === "ada");

    const early = await bob.call("mark_as_read", { messageId: first.id });
    deepStrictEqual([early.readMarker.lastReadSeq, early.unread.count], [2, 2]);
    deepStrictEqual((await adas()).map(({ isRead }) => isRead), [true, false, false]);
    const marked = await bob.call("mark_as_read", { messageId: third.id });
    deepStrictEqual([marked.roomId, marked.readMarker.lastReadSeq, marked.unread.count], [
      first.roomId,
      3,
      1,
    ]);
    const messages = await adas();
    deepStrictEqual(messages.map(({ isRead, readAt }) => [isRead, readAt !== null]), [
      [true, true],
      [true, true],
      [false, false],
    ]);
    strictEqual(messages[1].readAt, marked.readMarker.lastReadAt);
    // again, and backwards, changes nothing
    for (const { id: messageId } of [third, first]) await bob.call("mark_as_read", { messageId });
    deepStrictEqual(await adas(), messages);
  },
);

atEveryDoor(
  "list_conversations has the newest first, with what was said last and how much is unread",
  async (door) => {
    const names = ["bob", "cyd", "dan", "eve", "flo"] as const;
    const [ada] = await people(door, "ada");
    const others = await people(door, ...names);
    for (const other of others) await write(other, "ada", `from ${other.userId}`);
    await write(others[1], "ada", "and again");
    await write(ada, "bob", "late answer");
    const pages = await readPages(ada, "list_conversations", "conversations", {}, 2);
    deepStrictEqual(pages.map((page) => page.map(({ user }: Json) => user.id)), [["bob", "cyd"], [
      "flo",
      "eve",
    ], ["dan"]]);
    const [bob, cyd] = pages.flat();
    deepStrictEqual([bob.lastMessage.content, bob.unread.count, bob.position.seq], ["late answer", 0, 2]);
    deepStrictEqual([cyd.lastMessage.content, cyd.unread.count, cyd.position.seq], ["and again", 2, 2]);
    deepStrictEqual(cyd.user, { id: "cyd", name: "cyd", avatarUrl: null });
    // an edit or a deletion moves nothing up
    const { messages } = await ada.call("list_direct_messages", { userId: "dan" });
    await others[2].call("update_message", { messageId: messages[0].id, content: "edited" });
    const order = (await ada.call("list_conversations")).conversations.map(({ user }: Json) => user.id);
    deepStrictEqual(order, ["bob", "cyd", "flo", "eve", "dan"]);
    const [seenByBob] = (await others[0].call("list_conversations")).conversations;
    deepStrictEqual([seenByBob.user.id, seenByBob.unread.count], ["ada", 1]);
  },
);

atEveryDoor("direct messages keep order, edits and pages as rooms do", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const ear = await door.ear("bob");
  for (let i = 1; i <= 5; i++) await write(ada, "bob", `${i}`);
  const page = async (ask: Json) => {
    const { messages, hasMoreBefore, hasMoreAfter } = await bob.call("list_direct_messages", {
      userId: "ada",
      ...ask,
    });
    return [contents(messages).join(""), hasMoreBefore, hasMoreAfter];
  };
  deepStrictEqual(await page({ limit: 2 }), ["45", true, false]);
  deepStrictEqual(await page({ before: 3, limit: 5 }), ["12", false, true]);
  deepStrictEqual(await page({ after: 3, limit: 1 }), ["4", true, true]);
  deepStrictEqual(await page({ around: 3, limit: 2 }), ["34", true, true]);
  const [first] = (await ada.call("list_direct_messages", { userId: "bob" })).messages;
  const { message } = await ada.call("update_message", { messageId: first.id, content: "one" });
  const pushed = await ear.next("message_updated");
  deepStrictEqual([pushed.message, pushed.after, pushed.seq], [message, 5, 6]);
  ok(pushed.inbox.seq > 5);
});

atEveryDoor("a first message from each side at once makes one room", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const sent = await Promise.all(
    Array.from({ length: 20 }, (_, i) => i % 2 === 0 ? write(ada, "bob", `${i}`) : write(bob, "ada", `${i}`)),
  );
  strictEqual(new Set(sent.map(({ roomId }) => roomId)).size, 1);
  deepStrictEqual(
    sent.map(({ seq }) => seq).toSorted((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
  const { messages } = await bob.call("list_direct_messages", { userId: "ada" });
  strictEqual(messages.length, 20);
  // users whose ids could be mistaken for one another's pair
  const [a, b] = await people(door, 'x","y', "z");
  const [c, d] = await people(door, "x", 'y","z');
  ok((await write(a, b.userId)).roomId !== (await write(c, d.userId)).roomId);
  strictEqual(await codeOf(makeRoom(ada, [], { type: "DIRECT" })), "invalid_request");
});
