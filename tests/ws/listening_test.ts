/** Hearing rooms on a socket: what join_room, leave_room and sync begin and end, connection by connection. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { codeOf, type Json, startDoors } from "../helpers/doors.ts";
import { makeRoom, people } from "../suites/door_suite.ts";

Deno.test("leave_room stops this connection's hearing, and leaves the membership and the other devices alone", async () => {
  await using doors = await startDoors();
  const [ada] = await people(doors.rest, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const [phone, desk] = [await doors.socket.ear("bob"), await doors.socket.ear("bob")];
  for (const ear of [phone, desk]) await ear.call("join_room", { roomId });
  deepStrictEqual(await phone.call("leave_room", { roomId }), { roomId });
  strictEqual(await codeOf(phone.call("leave_room", { roomId })), "not_found");
  await ada.call("send_message", { roomId, content: "who hears?" });
  await desk.next("message_received");
  await phone.settled();
  deepStrictEqual(phone.heardOf(roomId), []);
  strictEqual((await ada.call("list_members", { roomId })).members.length, 2);
  await phone.call("send_message", { roomId, content: "not listening, still a member" });
});

Deno.test("join_room twice hears everything once", async () => {
  await using doors = await startDoors();
  const [ada] = await people(doors.rest, "ada");
  const roomId = await makeRoom(ada);
  const ear = await doors.socket.ear("ada");
  await Promise.all([1, 2, 3].map(() => ear.call("join_room", { roomId })));
  const sent: Json[] = [];
  for (let i = 0; i < 5; i++) {
    sent.push((await ada.call("send_message", { roomId, content: `${i}` })).message);
  }
  await ear.until("message_received", 5);
  await ear.settled();
  deepStrictEqual(ear.events("message_received").map(({ message }) => message), sent);
});

Deno.test("join_room with since answers what changed, and the live stream goes on from there without a hole", async () => {
  await using doors = await startDoors();
  const [ada, bob] = await people(doors.rest, "ada", "bob");
  const roomId = await makeRoom(ada);
  const { message } = await ada.call("send_message", { roomId, content: "known" });
  const { position } = await ada.call("join_room", { roomId });
  await bob.call("join_room", { roomId });
  await ada.call("update_message", { messageId: message.id, content: "edited" });
  const news = (await bob.call("send_message", { roomId, content: "news" })).message;
  const ear = await doors.socket.ear("ada");
  const caught = await ear.call("join_room", { roomId, since: position });
  deepStrictEqual([caught.reset, caught.since, caught.position.seq], [false, position.seq, position.seq + 3]);
  deepStrictEqual(caught.messages.map(({ content }: Json) => content), ["edited", "news"]);
  deepStrictEqual(caught.members.map(({ userId }: Json) => userId), ["bob"]);
  await bob.call("delete_message", { messageId: news.id });
  const { after, seq } = await ear.next("message_deleted");
  deepStrictEqual([after, seq], [caught.position.seq, caught.position.seq + 1]);
  // a position of another life, or from the future, is not believed
  for (const since of [{ epoch: "other", seq: position.seq }, { ...position, seq: position.seq + 100 }]) {
    const { reset, messages } = await ear.call("join_room", { roomId, since });
    deepStrictEqual([reset, messages.length], [true, 2]);
  }
});

Deno.test("sync hears all rooms, tells which are gone, and is quiet about what has not changed", async () => {
  await using doors = await startDoors();
  const [ada, bob] = await people(doors.rest, "ada", "bob");
  const rooms = [
    await makeRoom(ada, ["bob"]),
    await makeRoom(ada, ["bob"]),
    await makeRoom(ada, ["bob"]),
  ] as const;
  const ear = await doors.socket.ear("bob");
  const first = await ear.call("sync");
  deepStrictEqual(first.rooms.map(({ roomId }: Json) => roomId).toSorted(), rooms.toSorted());
  deepStrictEqual([first.gone, first.more], [[], false]);
  const positions = Object.fromEntries(first.rooms.map(({ roomId, position }: Json) => [roomId, position]));

  await ada.call("send_message", { roomId: rooms[0], content: "heard" });
  deepStrictEqual((await ear.next("message_received")).roomId, rooms[0]);
  await ada.call("remove_member", { roomId: rooms[1], userId: "bob" });
  const strange = "01890a5d-ac96-774b-bcce-b302099a8057";
  const second = await bob.call("sync", { positions: { ...positions, [strange]: { epoch: "e", seq: 1 } } });
  deepStrictEqual(second.rooms.map(({ roomId, messages }: Json) => [roomId, messages.length]), [[
    rooms[0],
    1,
  ]]);
  deepStrictEqual(second.gone.toSorted(), [rooms[1], strange].toSorted());
  strictEqual(second.inbox.seq > first.inbox.seq, true);
  await ear.next("room_removed");
});

Deno.test("a direct message is heard without joining, by both and on every connection", async () => {
  await using doors = await startDoors();
  const [ada] = await people(doors.rest, "ada", "bob");
  const ears = [await doors.socket.ear("ada"), await doors.socket.ear("bob"), await doors.socket.ear("bob")];
  const { message } = await ada.call("send_direct_message", { recipientId: "bob", content: "psst" });
  for (const ear of ears) deepStrictEqual((await ear.next("direct_message_received")).message, message);
  // joining the room as well doubles nothing
  for (const ear of ears) await ear.call("join_room", { roomId: message.roomId });
  await ada.call("send_direct_message", { recipientId: "bob", content: "again" });
  for (const ear of ears) {
    await ear.until("direct_message_received", 2);
    await ear.settled();
    deepStrictEqual(ear.events("direct_message_received").map(({ seq }) => seq), [1, 2]);
    deepStrictEqual(ear.events("message_received"), []);
  }
});
