/** Memberships at every door: coming, going, limits, bans, and what live sockets hear of it. Roles: roles_test.ts. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { codeOf, type Json } from "../helpers/doors.ts";
import { Refused } from "../helpers/test_socket.ts";
import { atEveryDoor, makeRoom, people, readPages, signedIn } from "../suites/door_suite.ts";

const userIds = (members: Json[]): string[] => members.map(({ userId }) => userId);

atEveryDoor("join_room makes a member once and tells the room and the user's devices", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada);
  await ada.call("send_message", { roomId, content: "before bob" });
  const [ear, device] = [await door.ear("ada"), await door.ear("bob")];
  const { position } = await ear.call("join_room", { roomId });

  const joined = await bob.call("join_room", { roomId });
  const seq = position.seq + 1;
  deepStrictEqual([joined.reset, joined.position.seq, joined.since], [true, seq, null]);
  deepStrictEqual(joined.messages.map(({ content }: Json) => content), ["before bob"]);
  deepStrictEqual([joined.member.role, joined.member.lastReadSeq, joined.unread.count], ["MEMBER", seq, 0]);
  deepStrictEqual(joined.readMarkers.map(({ userId }: Json) => userId), ["ada", "bob"]);
  deepStrictEqual(await ear.next("user_joined"), {
    userId: "bob",
    member: joined.member,
    roomId,
    after: position.seq,
    seq,
  });
  const added = await device.next("room_added");
  deepStrictEqual([added.roomId, added.room.id, added.member], [roomId, roomId, joined.member]);

  const again = await bob.call("join_room", { roomId, since: joined.position });
  deepStrictEqual([again.reset, again.position, again.messages, again.members], [
    false,
    joined.position,
    [],
    [],
  ]);
  strictEqual((await ada.call("get_room", { roomId })).room.memberCount, 2);
  strictEqual(ear.events("user_joined").length, 1);
});

atEveryDoor("leave_room ends the membership, and the user's sockets fall silent", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const [adas, bobs] = [await door.ear("ada"), await door.ear("bob")];
  for (const ear of [adas, bobs]) await ear.call("join_room", { roomId });

  deepStrictEqual(await bob.call("leave_room", { roomId, membership: true }), { roomId });
  for (const ear of [adas, bobs]) {
    const { userId, member } = await ear.next("user_left");
    deepStrictEqual([userId, member.leftReason, member.isBlocked], ["bob", "left", false]);
  }
  const removed = await bobs.next("room_removed");
  deepStrictEqual([removed.roomId, removed.reason], [roomId, "left"]);
  await ada.call("send_message", { roomId, content: "now that bob is gone" });
  await adas.next("message_received");
  await bobs.settled();
  deepStrictEqual(bobs.events("message_received"), []);
  strictEqual(await codeOf(bob.call("send_message", { roomId, content: "let me in" })), "forbidden");
  strictEqual(await codeOf(bob.call("list_messages", { roomId })), "forbidden");
  // the last one may go, and the room stays
  await ada.call("leave_room", { roomId, membership: true });
  const { room } = await ada.call("get_room", { roomId });
  deepStrictEqual([room.memberCount, room.member], [0, null]);
});

for (
  const { title, type, maxMembers, places, env } of [
    { title: "maxMembers of a room", type: "PUBLIC", maxMembers: 20, places: 20, env: {} },
    { title: "maxMembers of a study group", type: "STUDY_GROUP", maxMembers: 8, places: 8, env: {} },
    {
      title: "CHAT_MAX_ROOM_MEMBERS",
      type: "PUBLIC",
      maxMembers: null,
      places: 15,
      env: { CHAT_MAX_ROOM_MEMBERS: "15" },
    },
    {
      title: "CHAT_MAX_ROOM_MEMBERS over a larger maxMembers",
      type: "STUDY_GROUP",
      maxMembers: 30,
      places: 15,
      env: { CHAT_MAX_ROOM_MEMBERS: "15" },
    },
  ]
) {
  atEveryDoor(`join_room keeps ${title} when 50 come at once`, async (door) => {
    const [ada] = await people(door, "ada");
    const roomId = await makeRoom(ada, [], { type, maxMembers });
    const crowd = await Promise.all(Array.from({ length: 50 }, (_, i) => signedIn(door, `user${i}`)));
    const outcomes = await Promise.all(
      crowd.map((client) =>
        client.call("join_room", { roomId }).then(() => "joined", (fault: unknown) => {
          if (fault instanceof Refused) return fault.code;
          throw fault;
        })
      ),
    );
    const count = (outcome: string) => outcomes.filter((each) => each === outcome).length;
    deepStrictEqual([count("joined"), count("room_full")], [places - 1, 51 - places]);
    strictEqual((await ada.call("get_room", { roomId })).room.memberCount, places);
    strictEqual((await ada.call("list_members", { roomId, limit: 100 })).members.length, places);
    // a place that becomes free can be taken, by one
    const [inside, outside] = ["joined", "room_full"].map((each) => crowd[outcomes.indexOf(each)]!);
    await inside!.call("leave_room", { roomId, membership: true });
    await outside!.call("join_room", { roomId });
    strictEqual(await codeOf(inside!.call("join_room", { roomId })), "room_full");
  }, { env });
}

atEveryDoor("add_member brings a user in with a role and tells their devices", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob", "cyd", "dan");
  const secret = await makeRoom(ada, [["bob", "MODERATOR"]], { type: "PRIVATE" });
  const device = await door.ear("cyd");
  const { member } = await bob.call("add_member", { roomId: secret, userId: "cyd" });
  deepStrictEqual([member.userId, member.role, member.leftReason], ["cyd", "MEMBER", null]);
  const added = await device.next("room_added");
  deepStrictEqual([added.room.id, added.member], [secret, member]);
  strictEqual((await device.call("list_messages", { roomId: secret })).messages.length, 0);
  // once: who is in already stays as they are
  deepStrictEqual(
    (await ada.call("add_member", { roomId: secret, userId: "cyd", role: "ADMIN" })).member,
    member,
  );
  // in an open room every member may bring in members
  const open = await makeRoom(ada, ["bob"]);
  strictEqual((await bob.call("add_member", { roomId: open, userId: "dan" })).member.role, "MEMBER");
});

atEveryDoor("remove_member and a ban reach live sockets at once; what follows is not heard", async (door) => {
  const [ada] = await people(door, "ada", "bob", "cyd");
  const roomId = await makeRoom(ada, ["bob", "cyd"]);
  const ears = { ada: await door.ear("ada"), bob: await door.ear("bob"), cyd: await door.ear("cyd") };
  for (const ear of Object.values(ears)) await ear.call("join_room", { roomId });
  const away = [
    ["bob", "removed", () => ada.call("remove_member", { roomId, userId: "bob" })],
    ["cyd", "banned", () => ada.call("update_member", { roomId, userId: "cyd", isBlocked: true })],
  ] as const;
  for (const [who, reason, act] of away) {
    const { member } = await act();
    await ada.call("send_message", { roomId, content: `without ${who}` });
    await ears.ada.next("message_received", ({ message }) => message.content === `without ${who}`);
    deepStrictEqual([member.userId, member.leftReason, member.isBlocked], [who, reason, reason === "banned"]);
    const gone = ears[who];
    await gone.settled();
    const last = gone.heardOf(roomId).at(-1);
    deepStrictEqual(
      await gone.next("user_left", ({ userId }) => userId === who),
      await ears.ada.next("user_left", ({ userId }) => userId === who),
    );
    strictEqual(last, `user_left ${(await gone.next("user_left", ({ userId }) => userId === who)).seq}`);
    strictEqual((await gone.next("room_removed")).reason, reason);
    strictEqual((await ada.call("get_room", { roomId })).room.memberCount, who === "bob" ? 2 : 1);
  }
  // who was removed may come back to an open room, who is banned may not
  await ears.bob.call("join_room", { roomId });
  strictEqual(await codeOf(ears.cyd.call("join_room", { roomId })), "banned");
});

atEveryDoor("a ban keeps out, is seen by moderators, and can be lifted", async (door) => {
  const [ada, bob, cyd] = await people(door, "ada", "bob", "cyd", "dan");
  const roomId = await makeRoom(ada, [["bob", "MODERATOR"], ["cyd", "ADMIN"]]);
  const ban = (userId: string, isBlocked: boolean) =>
    ada.call("update_member", { roomId, userId, isBlocked });
  const banned = async () => userIds((await bob.call("list_members", { roomId, status: "banned" })).members);
  await ban("cyd", true);
  const ear = await door.ear("bob");
  await ear.call("join_room", { roomId });
  const { member: never } = await ban("dan", true); // who has never been here
  deepStrictEqual((await ear.next("member_updated")).member, never);
  deepStrictEqual([never.isBlocked, never.leftReason, ear.events("user_left")], [true, "banned", []]);
  deepStrictEqual(await banned(), ["cyd", "dan"]);
  deepStrictEqual((await ban("cyd", true)).member.isBlocked, true);
  deepStrictEqual(userIds((await bob.call("list_members", { roomId })).members), ["ada", "bob"]);
  strictEqual(await codeOf(ada.call("add_member", { roomId, userId: "dan" })), "conflict");
  for (const command of ["join_room", "get_room", "list_messages", "list_members"]) {
    strictEqual(await codeOf(cyd.call(command, { roomId })), "banned", command);
  }
  const { member } = await ban("cyd", false);
  deepStrictEqual([member.isBlocked, member.leftReason], [false, "left"]);
  deepStrictEqual(await banned(), ["dan"]);
  // who is not banned any more may join like everybody else
  strictEqual((await cyd.call("join_room", { roomId })).member.role, "MEMBER");
});

atEveryDoor("whoever is muted may read and not write, also after leaving and coming back", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, ["bob"]);
  const { message } = await bob.call("send_message", { roomId, content: "before" });
  const ear = await door.ear("bob");
  await ear.call("join_room", { roomId });
  const { member } = await ada.call("update_member", { roomId, userId: "bob", isMuted: true });
  strictEqual(member.isMuted, true);
  deepStrictEqual((await ear.next("member_updated")).member, member);
  deepStrictEqual((await ear.next("membership_updated")).member, member);
  const isMute = async (): Promise<void> => {
    strictEqual(await codeOf(bob.call("send_message", { roomId, content: "hm" })), "muted");
    strictEqual(await codeOf(bob.call("update_message", { messageId: message.id, content: "hm" })), "muted");
    await ada.call("send_message", { roomId, content: "can you hear me?" });
    ok((await bob.call("list_messages", { roomId })).messages.length > 1);
  };
  await isMute();
  await bob.call("leave_room", { roomId, membership: true });
  await bob.call("join_room", { roomId });
  await isMute();
  // a repeat of what was sent before is still answered, and one may take back
  strictEqual(
    (await bob.call("send_message", { roomId, content: "before", clientMessageId: message.clientMessageId }))
      .message.id,
    message.id,
  );
  await bob.call("delete_message", { messageId: message.id });
  await ada.call("update_member", { roomId, userId: "bob", isMuted: false });
  await bob.call("send_message", { roomId, content: "thank you" });
});

atEveryDoor("list_members pages by cursor, each member once", async (door) => {
  const names = ["ada", "Zoe", "a b", "ünal", "🕊", "x/y?z", "100%", "ada2"] as const;
  const [ada] = await people(door, ...names);
  const roomId = await makeRoom(ada, names.slice(1));
  const pages = await readPages(ada, "list_members", "members", { roomId }, 3);
  deepStrictEqual(pages.map((page) => page.length), [3, 3, 2]);
  deepStrictEqual(userIds(pages.flat()).sort(), [...names].sort());
  for (const userId of names.slice(1)) await ada.call("update_member", { roomId, userId, isBlocked: true });
  const banned = await readPages(ada, "list_members", "members", { roomId, status: "banned" }, 4);
  deepStrictEqual(banned.map((page) => page.length), [4, 3]);
  deepStrictEqual(userIds(banned.flat()).sort(), names.slice(1).sort());
});
