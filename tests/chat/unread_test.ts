/** Unread, at every door: what others have written since one has read, wherever it is asked for. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { DoorClient, Json } from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people } from "../suites/door_suite.ts";

const say = async (by: DoorClient, roomId: string, fields: Json = {}): Promise<Json> =>
  (await by.call("send_message", { roomId, content: "text", ...fields })).message;

/** The same wherever it is asked for. */
async function unreadOf(client: DoorClient, roomId: string): Promise<Json> {
  const listed = (await client.call("list_rooms")).rooms.find(({ id }: Json) => id === roomId).unread;
  const { rooms } = await client.call("unread_counts");
  const counted = rooms.find((room: Json) => room.roomId === roomId)?.unread;
  deepStrictEqual((await client.call("get_room", { roomId })).room.unread, listed);
  deepStrictEqual((await client.call("join_room", { roomId })).unread, listed);
  deepStrictEqual(
    (await client.call("sync", {})).rooms.find((each: Json) => each.roomId === roomId).unread,
    listed,
  );
  deepStrictEqual(counted, listed.count === 0 ? undefined : listed);
  return listed;
}

atEveryDoor("unread counts what others wrote after one's marker, without what is deleted", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]); // seq 1 to 3
  deepStrictEqual(await unreadOf(bob, roomId), { count: 0, mentions: 0, afterSeq: 3, seq: 3 });
  const messages = [];
  for (let i = 0; i < 4; i++) messages.push(await say(ada, roomId, { mentions: i < 2 ? ["bob"] : [] }));
  deepStrictEqual(await unreadOf(bob, roomId), { count: 4, mentions: 2, afterSeq: 3, seq: 7 });
  deepStrictEqual(await unreadOf(ada, roomId), { count: 0, mentions: 0, afterSeq: 7, seq: 7 });
  await ada.call("delete_message", { messageId: messages[1].id });
  deepStrictEqual(await unreadOf(bob, roomId), { count: 3, mentions: 1, afterSeq: 3, seq: 8 });
  await ada.call("update_message", { messageId: messages[3].id, content: "hey @bob" });
  deepStrictEqual(await unreadOf(bob, roomId), { count: 3, mentions: 2, afterSeq: 3, seq: 9 });
  const { unread } = await bob.call("mark_as_read", { messageId: messages[2].id });
  deepStrictEqual(unread, { count: 1, mentions: 1, afterSeq: 6, seq: 9 });
  deepStrictEqual(await unreadOf(bob, roomId), unread);
  await say(bob, roomId); // who answers has read
  deepStrictEqual(await unreadOf(bob, roomId), { count: 0, mentions: 0, afterSeq: 10, seq: 10 });
  await bob.call("leave_room", { roomId, membership: true });
  await say(ada, roomId);
  deepStrictEqual((await bob.call("unread_counts")).total, { rooms: 0, count: 0, mentions: 0 });
  await bob.call("join_room", { roomId }); // and who comes back begins there
  deepStrictEqual(await unreadOf(bob, roomId), { count: 0, mentions: 0, afterSeq: 13, seq: 13 });
});

atEveryDoor("mark_as_unread counts from a message on, until it is read again", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const messages: Json[] = [];
  for (let i = 0; i < 4; i++) messages.push(await say(ada, roomId));
  const mark = async (command: string, i: number): Promise<[number, number, number]> => {
    const { unread, readMarker } = await bob.call(command, { messageId: messages[i].id });
    deepStrictEqual(await unreadOf(bob, roomId), unread);
    return [unread.count, unread.afterSeq, readMarker.lastReadSeq];
  };
  const seqs = messages.map(({ seq }) => seq);
  deepStrictEqual(await mark("mark_as_read", 3), [0, seqs[3], seqs[3]]);
  deepStrictEqual(await mark("mark_as_unread", 1), [3, seqs[0], seqs[3]]);
  deepStrictEqual(await mark("mark_as_read", 0), [3, seqs[0], seqs[3]]); // before it: says nothing of it
  deepStrictEqual(await mark("mark_as_read", 1), [2, seqs[1], seqs[3]]);
  deepStrictEqual(await mark("mark_as_unread", 3), [1, seqs[2], seqs[3]]);
  deepStrictEqual(await mark("mark_as_read", 3), [0, seqs[3], seqs[3]]);
  await mark("mark_as_unread", 0);
  const { message } = await bob.call("send_message", { roomId, content: "text" });
  deepStrictEqual(await unreadOf(bob, roomId), {
    count: 0,
    mentions: 0,
    afterSeq: message.seq,
    seq: message.seq,
  });
});

atEveryDoor("unread stops at 100, of messages and of mentions", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const [busy, direct] = [await makeRoom(ada, ["bob"]), { recipientId: "bob", content: "hi" }];
  for (let i = 0; i < 101; i++) await say(ada, busy, { mentions: ["bob"] });
  for (let i = 0; i < 2; i++) await ada.call("send_direct_message", direct);
  const unread = await unreadOf(bob, busy);
  deepStrictEqual([unread.count, unread.mentions], [100, 100]);
  const { total, rooms } = await bob.call("unread_counts");
  deepStrictEqual(total, { rooms: 2, count: 102, mentions: 100 });
  const [conversation] = (await bob.call("list_conversations")).conversations;
  strictEqual(rooms[0].roomId, conversation.roomId); // the newest first
  deepStrictEqual(rooms[0].unread, conversation.unread);
  const { messages } = await bob.call("list_messages", { roomId: busy, limit: 2 });
  const left = await bob.call("mark_as_read", { messageId: messages[0].id });
  deepStrictEqual([left.unread.count, left.unread.mentions], [1, 1]);
});
