/** Read receipts, over two nodes: who has read up to where and when, never backwards, gathered where many read at once. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { RECEIPTS_MAX, RECEIPTS_WINDOW_MS } from "../../src/protocol/limits.ts";
import { codeOf, type DoorClient, type Ear, type Json } from "../helpers/doors.ts";
import { LOSES_ALL, TwoNodes } from "../helpers/two_nodes.ts";
import { atEveryDoor, makeRoom, people, readPages, signedIn } from "../suites/door_suite.ts";

const say = async (by: DoorClient, roomId: string, content = "text"): Promise<Json> =>
  (await by.call("send_message", { roomId, content })).message;
const read = (by: DoorClient, { id }: Json): Promise<Json> => by.call("mark_as_read", { messageId: id });
const receipts = (ear: Ear): Json[] => ear.events("read_receipt").flatMap(({ receipts }) => receipts);
const heard = (ear: Ear): unknown[] => receipts(ear).map(({ userId, lastReadSeq }) => [userId, lastReadSeq]);

async function expectReceipts(ears: readonly Ear[], expected: unknown[]): Promise<void> {
  for (const ear of ears) {
    await ear.socket.until(() => heard(ear).length >= expected.length, `${expected.length} receipts`);
    await ear.settled();
    deepStrictEqual(heard(ear), expected, ear.userId);
  }
}

Deno.test("a receipt says who has read up to which message and when, to all devices that hear the room", async () => {
  await using nodes = await TwoNodes.start();
  const adas = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada")] as const;
  const bobs = [await nodes.ear(0, "bob"), await nodes.ear(1, "bob")] as const;
  const deaf = [await nodes.ear(0, "bob"), await nodes.ear(1, "bob")] as const; // Bob's, in the room's list only
  const eve = await nodes.ear(1, "eve");
  const roomId = await makeRoom(adas[0], ["bob"]);
  for (const ear of [...adas, ...bobs]) await ear.call("join_room", { roomId });
  const first = await say(adas[0], roomId);
  const second = await say(adas[1], roomId);
  const answer = await read(bobs[0], first);
  deepStrictEqual([answer.roomId, answer.readMarker.userId, answer.readMarker.lastReadSeq], [
    roomId,
    "bob",
    first.seq,
  ]);
  deepStrictEqual(answer.unread, { count: 1, mentions: 0, afterSeq: first.seq, seq: second.seq });
  const expected = {
    userId: "bob",
    user: { id: "bob", name: "bob", avatarUrl: null },
    messageId: first.id,
    lastReadSeq: first.seq,
    lastReadAt: answer.readMarker.lastReadAt,
  };
  for (const ear of [...adas, ...bobs]) {
    deepStrictEqual(await ear.next("read_receipt"), { roomId, receipts: [expected] });
  }
  // his own devices hear what is left, whether they hear the room or not
  for (const ear of [...bobs, ...deaf]) {
    deepStrictEqual(await ear.next("unread_updated"), { roomId, unread: answer.unread });
  }
  await read(await nodes.rest(1, "bob"), second);
  await expectReceipts([...adas, ...bobs], [["bob", first.seq], ["bob", second.seq]]);
  for (const ear of deaf) await ear.until("unread_updated", 2);
  for (const ear of [...adas, eve]) {
    await ear.settled();
    deepStrictEqual(ear.events("unread_updated"), []);
  }
  for (const ear of [...deaf, eve]) deepStrictEqual(receipts(ear), []);
});

Deno.test("receipts never go back, and what is read twice is told once", async () => {
  await using nodes = await TwoNodes.start();
  const [ada, bob, atOther] = [
    await nodes.ear(0, "ada"),
    await nodes.ear(0, "bob"),
    await nodes.ear(1, "bob"),
  ];
  const ears = [ada, await nodes.ear(1, "ada")];
  const roomId = await makeRoom(ada, ["bob"]);
  for (const ear of ears) await ear.call("join_room", { roomId });
  const [one, two, three] = [await say(ada, roomId), await say(ada, roomId), await say(ada, roomId)];
  await read(bob, two);
  for (const [by, message] of [[bob, one], [atOther, two], [atOther, one]] as const) {
    strictEqual((await read(by, message)).readMarker.lastReadSeq, two.seq);
  }
  await Promise.all([read(bob, three), read(atOther, one), read(atOther, three)]);
  await expectReceipts(ears, [["bob", two.seq], ["bob", three.seq]]);
  // nor by what one counts as unread again
  const { unread, readMarker } = await bob.call("mark_as_unread", { messageId: one.id });
  deepStrictEqual([unread.count, unread.afterSeq, readMarker.lastReadSeq], [3, one.seq - 1, three.seq]);
  for (const device of [bob, atOther]) {
    deepStrictEqual((await device.next("unread_updated", ({ unread }) => unread.count === 3)).unread, unread);
  }
  await read(bob, two);
  await ada.call("send_message", { roomId, content: "the next" });
  for (const ear of ears) await ear.until("message_received", 4);
  await expectReceipts(ears, [["bob", two.seq], ["bob", three.seq]]);
});

Deno.test("receipts of direct messages go both ways, to all devices of both, also of what was answered unread", async () => {
  await using nodes = await TwoNodes.start();
  const adas = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada")] as const;
  const bobs = [await nodes.ear(0, "bob"), await nodes.ear(1, "bob")] as const;
  const eve = await nodes.ear(1, "eve");
  const write = async (from: DoorClient, recipientId: string): Promise<Json> =>
    (await from.call("send_direct_message", { recipientId, content: "hi" })).message;
  const first = await write(adas[0], "bob");
  await read(bobs[1], first);
  await expectReceipts([...adas, ...bobs], [["bob", 1]]);
  const second = await write(bobs[0], "ada");
  await read(adas[1], second);
  await expectReceipts([...adas, ...bobs], [["bob", 1], ["ada", 2]]);
  const third = await write(adas[0], "bob");
  await write(bobs[0], "ada"); // moves Bob's marker past the third, which he has not said to have read
  const { messages } = await adas[0].call("list_direct_messages", { userId: "bob", after: 2 });
  deepStrictEqual(messages.map(({ isRead }: Json) => isRead), [false, false]);
  await read(bobs[0], third);
  await expectReceipts([...adas, ...bobs], [["bob", 1], ["ada", 2], ["bob", 4]]);
  strictEqual(receipts(adas[1]).at(-1).messageId, third.id);
  const read3 =
    (await adas[0].call("list_direct_messages", { userId: "bob", after: 2, limit: 1 })).messages[0];
  strictEqual(read3.isRead, true);
  await eve.settled();
  deepStrictEqual(receipts(eve), []);
});

Deno.test("receipts of many readers are gathered: one push a window, of so many at most, none lost at the end", async () => {
  await using nodes = await TwoNodes.start();
  const ada = await nodes.ear(0, "ada");
  const ears = [ada, await nodes.ear(1, "ada")];
  const names = Array.from({ length: 130 }, (_, i) => `reader${i}`);
  const readers = await Promise.all(
    names.map((name, i) => signedIn(nodes.doors(i < 120 ? 0 : 1).rest, name)),
  );
  const roomId = await makeRoom(ada, names);
  for (const ear of ears) await ear.call("join_room", { roomId });
  const messages = [await say(ada, roomId), await say(ada, roomId), await say(ada, roomId)];
  const began = performance.now();
  for (const message of messages) await Promise.all(readers.map((reader) => read(reader, message)));
  const last = messages[2].seq;
  const newest = (ear: Ear) =>
    new Map<string, number>(receipts(ear).map((each) => [each.userId, each.lastReadSeq]));
  for (const ear of ears) {
    await ear.socket.until(
      () => newest(ear).size === 130 && [...newest(ear).values()].every((seq) => seq === last),
      "the newest receipt of each",
      30_000,
    );
    const pushes = ear.events("read_receipt");
    const windows = (performance.now() - began) / RECEIPTS_WINDOW_MS;
    ok(pushes.length <= windows + 2, `${pushes.length} pushes in ${windows} windows`);
    ok(pushes.length < 130, `${pushes.length} pushes: nothing was gathered`);
    for (const push of pushes) {
      ok(push.receipts.length <= RECEIPTS_MAX);
      strictEqual(new Set(push.receipts.map(({ userId }: Json) => userId)).size, push.receipts.length);
    }
    const seen = new Map<string, number>();
    for (const { userId, lastReadSeq } of receipts(ear)) {
      ok(lastReadSeq > (seen.get(userId) ?? 0), `${userId} goes back to ${lastReadSeq}`);
      seen.set(userId, lastReadSeq);
    }
  }
});

Deno.test("receipts that were lost are told by the next catch-up", async () => {
  await using nodes = await TwoNodes.start();
  const [ada, bob] = [await nodes.ear(0, "ada"), await nodes.ear(1, "bob")];
  const roomId = await makeRoom(ada, ["bob"]);
  const { position } = await ada.call("join_room", { roomId });
  const message = await say(ada, roomId);
  nodes.setFaults(0, LOSES_ALL);
  await read(bob, message);
  await ada.settled();
  deepStrictEqual(receipts(ada), []);
  const { readMarkers } = await ada.call("join_room", { roomId, since: position });
  deepStrictEqual(readMarkers.map(({ userId, lastReadSeq }: Json) => [userId, lastReadSeq]), [
    ["ada", message.seq],
    ["bob", message.seq],
  ]);
});

atEveryDoor(
  "list_readers pages those who have read a message, without its sender, those who came later, and those who went",
  async (door) => {
    const [ada, bob, cyd, dan, eve] = await people(door, "ada", "bob", "cyd", "dan", "eve");
    const names = ["bob", "cyd", "dan", "gil", "hal"];
    const [gil, hal] = await people(door, "gil", "hal");
    const roomId = await makeRoom(ada, names);
    const message = await say(ada, roomId);
    await makeMember(ada, roomId, "eve");
    const after = await say(bob, roomId); // has read what stands before it
    for (const client of [cyd, gil, hal, eve]) await read(client, after);
    await hal.call("leave_room", { roomId, membership: true });
    const pages = await readPages(dan, "list_readers", "readers", { messageId: message.id }, 2);
    deepStrictEqual(pages.map((page) => page.map(({ userId }) => userId)), [["bob", "cyd"], ["gil"]]);
    const [, first] = pages.flat();
    deepStrictEqual([first.user, first.lastReadSeq], [
      { id: "cyd", name: "cyd", avatarUrl: null },
      after.seq,
    ]);
    strictEqual(Number.isNaN(Date.parse(first.lastReadAt)), false);
    const of = async (messageId: string): Promise<string[]> =>
      (await ada.call("list_readers", { messageId })).readers.map(({ userId }: Json) => userId);
    deepStrictEqual(await of(after.id), ["cyd", "eve", "gil"]);
    await dan.call("mark_as_read", { messageId: message.id });
    deepStrictEqual(await of(message.id), ["bob", "cyd", "dan", "gil"]);
    await gil.call("mark_as_unread", { messageId: message.id });
    deepStrictEqual(await of(message.id), ["bob", "cyd", "dan", "gil"]); // others see no step back
    strictEqual(await codeOf(hal.call("list_readers", { messageId: message.id })), "not_found");
  },
);

const makeMember = (owner: DoorClient, roomId: string, userId: string): Promise<Json> =>
  owner.call("add_member", { roomId, userId });
