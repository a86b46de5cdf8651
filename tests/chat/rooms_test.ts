/** Rooms at every door: made in four types, changed, deleted, found, listed. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { codeOf, type Json } from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people, readPages, signedIn } from "../suites/door_suite.ts";

atEveryDoor("create_room makes a room of each type with its creator as owner", async (door) => {
  const ada = await signedIn(door, "ada", { role: "teacher", courses: ["greek"], name: "Ada L." });
  const device = await door.ear("ada", { role: "teacher", courses: ["greek"], name: "Ada L." });
  const made: Json[] = [];
  for (
    const ask of [
      { name: "  Open\tto\nall ", description: "two\r\nlines" },
      { name: "p", type: "PUBLIC", isPrivate: false, maxMembers: 7, description: null },
      { name: "q", type: "PRIVATE" },
      { name: "c", type: "COURSE", courseId: "greek" },
      { name: "s", type: "STUDY_GROUP", maxMembers: null },
      { name: "t", type: "STUDY_GROUP", isPrivate: true, maxMembers: 4 },
    ]
  ) made.push((await ada.call("create_room", ask)).room);
  deepStrictEqual(
    made.map((
      { name, type, courseId, isPrivate, maxMembers },
    ) => [name, type, courseId, isPrivate, maxMembers]),
    [
      ["Open to all", "PUBLIC", null, false, null],
      ["p", "PUBLIC", null, false, 7],
      ["q", "PRIVATE", null, true, null],
      ["c", "COURSE", "greek", false, null],
      ["s", "STUDY_GROUP", null, false, null],
      ["t", "STUDY_GROUP", null, true, 4],
    ],
  );
  deepStrictEqual(made.map(({ description }) => description), ["two\nlines", null, null, null, null, null]);
  for (const room of made) {
    strictEqual(room.createdBy, "ada");
    strictEqual(room.memberCount, 1);
    const told = await device.next("room_created", ({ roomId }) => roomId === room.id);
    deepStrictEqual(told.room, room);
    deepStrictEqual([told.member.userId, told.member.name, told.member.role], ["ada", "Ada L.", "OWNER"]);
    const { member, unread, position, ...same } = (await ada.call("get_room", { roomId: room.id })).room;
    deepStrictEqual(same, room);
    deepStrictEqual([member, unread.count, position.seq], [told.member, 0, room.lastSeq]);
  }
});

atEveryDoor("update_room changes what is named, keeps the rest and tells the members", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, [["bob", "ADMIN"]], {
    name: "before",
    description: "kept",
    maxMembers: 9,
  });
  const ear = await door.ear("bob");
  const { position } = await ear.call("join_room", { roomId });
  const before = (await ada.call("get_room", { roomId })).room;

  const { room } = await bob.call("update_room", { roomId, name: "after" });
  const { member: _m, unread: _u, position: _p, ...same } = before;
  deepStrictEqual(room, { ...same, name: "after", lastSeq: position.seq + 1, updatedAt: room.updatedAt });
  ok(room.updatedAt > before.updatedAt);
  deepStrictEqual(await ear.next("room_updated"), {
    room,
    roomId,
    after: position.seq,
    seq: position.seq + 1,
  });

  const cleared = (await ada.call("update_room", { roomId, description: null, maxMembers: null })).room;
  deepStrictEqual([cleared.name, cleared.description, cleared.maxMembers], ["after", null, null]);
  const study = await makeRoom(ada, [], { type: "STUDY_GROUP" });
  strictEqual((await ada.call("update_room", { roomId: study, isPrivate: true })).room.isPrivate, true);
});

atEveryDoor("delete_room tells its members and leaves nothing to read", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const { message } = await bob.call("send_message", { roomId, content: "before the end" });
  const [hearing, elsewhere] = [await door.ear("bob"), await door.ear("bob")];
  const { position } = await hearing.call("join_room", { roomId });

  deepStrictEqual(await ada.call("delete_room", { roomId }), {});
  deepStrictEqual(await hearing.next("room_deleted"), { roomId, after: position.seq, seq: position.seq + 1 });
  for (const ear of [hearing, elsewhere]) {
    deepStrictEqual((await ear.next("room_removed")).reason, "deleted");
    deepStrictEqual((await ear.next("room_removed")).roomId, roomId);
  }
  strictEqual(elsewhere.events("room_deleted").length, 0);
  for (const client of [ada, bob]) {
    const { id: messageId } = message;
    const codes = await Promise.all([
      codeOf(client.call("list_messages", { roomId })),
      codeOf(client.call("get_room", { roomId })),
      codeOf(client.call("join_room", { roomId, since: position })),
      codeOf(
        client.call("send_message", {
          roomId,
          content: "after it",
          clientMessageId: message.clientMessageId,
        }),
      ),
      codeOf(client.call("delete_message", { messageId })),
      codeOf(client.call("mark_as_read", { messageId })),
    ]);
    deepStrictEqual(codes, Array(6).fill("not_found"));
    deepStrictEqual((await client.call("list_rooms")).rooms, []);
    deepStrictEqual((await client.call("search_messages", { query: "end" })).messages, []);
    deepStrictEqual((await client.call("sync", { positions: { [roomId]: position } })).gone, [roomId]);
  }
  // who hears nothing is gone at once, not at the next repair
  strictEqual(await codeOf(hearing.call("leave_room", { roomId })), "not_found");
});

atEveryDoor("get_room shows a room to those who may know of it, without a membership", async (door) => {
  const [ada, eve] = await people(door, "ada", "eve");
  const roomId = await makeRoom(ada);
  const { room } = await eve.call("get_room", { roomId });
  deepStrictEqual([room.member, room.unread, room.memberCount], [null, null, 1]);
});

atEveryDoor(
  "discover_rooms finds listed rooms by name and description, wildcards standing for themselves",
  async (door) => {
    const [ada] = await people(door, "ada");
    const eve = await signedIn(door, "eve", { courses: ["greek"] });
    const tina = await signedIn(door, "tina", { role: "teacher", courses: ["greek", "latin"] });
    const names = ["100% sure", "100 sure", "a_b", "aXb", "back\\slash", "Straße", "ZEBRA"];
    for (const name of names) await makeRoom(ada, [], { name });
    await makeRoom(ada, [], { name: "hidden sure", type: "PRIVATE" });
    await makeRoom(ada, [], { name: "study sure", type: "STUDY_GROUP", description: "of zebras" });
    await makeRoom(ada, [], { name: "closed sure", type: "STUDY_GROUP", isPrivate: true });
    await makeRoom(tina, [], { name: "greek sure", type: "COURSE", courseId: "greek" });
    await makeRoom(tina, [], { name: "latin sure", type: "COURSE", courseId: "latin" });
    const banned = await makeRoom(ada, ["eve"], { name: "banned sure" });
    await ada.call("update_member", { roomId: banned, userId: "eve", isBlocked: true });

    const found = async (input: Json) =>
      (await eve.call("discover_rooms", input)).rooms.map(({ name }: Json) => name);
    deepStrictEqual(await found({ query: "100%" }), ["100% sure"]);
    deepStrictEqual(await found({ query: "%" }), ["100% sure"]);
    deepStrictEqual(await found({ query: "a_b" }), ["a_b"]);
    deepStrictEqual(await found({ query: "\\" }), ["back\\slash"]);
    deepStrictEqual(await found({ query: "zebra" }), ["study sure", "ZEBRA"]);
    deepStrictEqual(await found({ query: "STRAßE" }), ["Straße"]);
    deepStrictEqual(await found({ query: "sure" }), ["100 sure", "100% sure", "greek sure", "study sure"]);
    deepStrictEqual(await found({ type: "STUDY_GROUP" }), ["study sure"]);
    deepStrictEqual(await found({ courseId: "greek" }), ["greek sure"]);
    deepStrictEqual(await found({ courseId: "latin" }), []);
    deepStrictEqual(await found({ query: "no such room" }), []);
    const root = await signedIn(door, "root", { role: "admin" });
    const all = (await root.call("discover_rooms", { query: "sure" })).rooms.map(({ name }: Json) => name);
    deepStrictEqual(all.sort(), [
      "100 sure",
      "100% sure",
      "banned sure",
      "greek sure",
      "latin sure",
      "study sure",
    ]);
  },
);

atEveryDoor("list_rooms and discover_rooms page by cursor, each room once", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const ids: string[] = [];
  // names that are equal, or differ in case only, or sort otherwise in another collation
  for (const name of ["b", "B", "a", "b", "ä", "b", "_"]) {
    ids.push(await makeRoom(ada, ["bob"], { name }));
  }
  await ada.call("send_direct_message", { recipientId: "bob", content: "not a room of the list" });
  for (const [command, client] of [["list_rooms", bob], ["discover_rooms", ada]] as const) {
    const pages = await readPages(client, command, "rooms", {}, 3);
    deepStrictEqual(pages.map((page) => page.length), [3, 3, 1], command);
    deepStrictEqual(pages.flat().map(({ id }) => id).sort(), ids.toSorted(), command);
    const whole = await readPages(client, command, "rooms", {}, 7);
    deepStrictEqual(
      whole.map((page) => page.map(({ id }: Json) => id)),
      [pages.flat().map(({ id }) => id)],
      command,
    );
  }
});

atEveryDoor("list_rooms counts what others wrote after the read marker, up to 100", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const sent: Json[] = [];
  for (let i = 0; i < 5; i++) {
    sent.push((await ada.call("send_message", { roomId, content: `${i}` })).message);
  }
  const unread = async () => (await bob.call("list_rooms")).rooms[0].unread;
  deepStrictEqual(await unread(), { count: 5, mentions: 0, afterSeq: 3, seq: sent[4].seq });
  await ada.call("delete_message", { messageId: sent[4].id });
  strictEqual((await unread()).count, 4);
  const marked = await bob.call("mark_as_read", { messageId: sent[1].id });
  deepStrictEqual([marked.roomId, marked.readMarker.lastReadSeq, marked.unread.count], [
    roomId,
    sent[1].seq,
    2,
  ]);
  // never backwards
  const again = await bob.call("mark_as_read", { messageId: sent[0].id });
  deepStrictEqual(again.readMarker, marked.readMarker);
  strictEqual((await unread()).count, 2);
  await bob.call("send_message", { roomId, content: "I have read it all" });
  strictEqual((await unread()).count, 0);
  await Promise.all(Array.from({ length: 101 }, () => ada.call("send_message", { roomId, content: "more" })));
  strictEqual((await unread()).count, 100);
});
