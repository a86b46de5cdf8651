/** Course rooms at every door: who gets in, and what happens when the newest token takes a course away or gives it back. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { MemoryBus } from "../../src/bus/memory_bus.ts";
import {
  codeOf,
  type Door,
  type DoorClient,
  type Json,
  startDoors,
  type TestDoors,
} from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people, signedIn } from "../suites/door_suite.ts";

const TEACHER = { role: "teacher", courses: ["greek"] };
const SINCE = Math.floor(Date.now() / 1000) - 1_000;

async function courseRoom(door: Door, fields: Json = {}): Promise<{ tina: DoorClient; roomId: string }> {
  const tina = await signedIn(door, "tina", TEACHER);
  return { tina, roomId: await makeRoom(tina, [], { type: "COURSE", courseId: "greek", ...fields }) };
}

/** Pupils' tokens, each newer than the one before by a second. */
function pupil(door: Door, name: string): (courses: string[], age?: number) => Promise<DoorClient> {
  let issuedAt = SINCE;
  return (courses, age = 0) => signedIn(door, name, { courses, issuedAt: ++issuedAt - age });
}

atEveryDoor(
  "a course room is open to those who take the course, and looked after by its teachers",
  async (door) => {
    const { tina, roomId } = await courseRoom(door);
    const secret = await makeRoom(tina, [], { type: "COURSE", courseId: "greek", isPrivate: true });
    const pia = await signedIn(door, "pia", { courses: ["latin", "greek"] });
    const theo = await signedIn(door, "theo", TEACHER);
    const otto = await signedIn(door, "otto", { role: "teacher", courses: ["latin"] });
    const [eve] = await people(door, "eve");
    const root = await signedIn(door, "root", { role: "admin" });
    strictEqual((await pia.call("join_room", { roomId })).member.role, "MEMBER");
    strictEqual((await theo.call("join_room", { roomId })).member.role, "ADMIN");
    strictEqual((await root.call("join_room", { roomId })).member.role, "MEMBER");
    for (const client of [eve, otto]) {
      strictEqual(
        await codeOf(client.call("join_room", { roomId })),
        "not_found",
      );
    }
    strictEqual(await codeOf(pia.call("join_room", { roomId: secret })), "not_found");
    strictEqual((await tina.call("add_member", { roomId: secret, userId: "pia" })).member.role, "MEMBER");
    strictEqual(await codeOf(tina.call("add_member", { roomId, userId: "eve" })), "conflict");
    strictEqual(
      await codeOf(otto.call("create_room", { name: "x", type: "COURSE", courseId: "greek" })),
      "forbidden",
    );
  },
);

atEveryDoor(
  "a course that the next token has lost suspends, on live sockets too, and one regained restores",
  async (door, doors) => {
    const { tina, roomId } = await courseRoom(door);
    const token = pupil(door, "pia");
    const pia = await token(["greek"]);
    await pia.call("join_room", { roomId });
    await tina.call("update_member", { roomId, userId: "pia", role: "MODERATOR" });
    const { message } = await tina.call("send_message", { roomId, content: "alpha" });
    await pia.call("mark_as_read", { messageId: message.id });
    const [hearing, teachers] = [
      await door.ear("pia", { courses: ["greek"], issuedAt: SINCE + 1 }),
      await door.ear("tina", TEACHER),
    ];
    for (const ear of [hearing, teachers]) await ear.call("join_room", { roomId });

    const lost = await token(["latin"]);
    const left = await teachers.next("user_left");
    deepStrictEqual([left.userId, left.member.leftReason, left.member.isBlocked], [
      "pia",
      "suspended",
      false,
    ]);
    strictEqual((await hearing.next("room_removed")).reason, "suspended");
    await tina.call("send_message", { roomId, content: "beta" });
    await teachers.next("message_received", ({ message }) => message.content === "beta");
    await hearing.settled();
    deepStrictEqual(hearing.heardOf(roomId), [`user_left ${left.seq}`]);
    for (const command of ["list_messages", "get_room", "join_room"]) {
      strictEqual(await codeOf(lost.call(command, { roomId })), "not_found", command);
    }
    deepStrictEqual((await lost.call("list_rooms")).rooms, []);
    strictEqual((await tina.call("get_room", { roomId })).room.memberCount, 1);

    const regained = await token(["greek"]);
    const joined = await teachers.next("user_joined", ({ userId }) => userId === "pia");
    strictEqual(joined.member.role, "MODERATOR");
    strictEqual((await hearing.next("room_added")).member.role, "MODERATOR");
    const { room } = await regained.call("get_room", { roomId });
    deepStrictEqual([room.member.lastReadSeq, room.unread.count, room.memberCount], [message.seq, 1, 2]);
    // the subscription ended; the member may hear again
    deepStrictEqual(hearing.events("message_received"), []);
    const { messages } = await hearing.call("join_room", { roomId });
    deepStrictEqual(messages.map(({ content }: Json) => content), ["alpha", "beta"]);
    strictEqual(
      await codeOf(doors.socket.ear("pia").then((ear) => ear.call("join_room", { roomId }))),
      "not_found",
    );
  },
);

atEveryDoor("an older token neither takes a course away nor gets back into its rooms", async (door) => {
  const { roomId } = await courseRoom(door);
  const token = pupil(door, "pia");
  const taking = await token(["greek"]);
  await taking.call("join_room", { roomId });
  const old = await token([], 500);
  strictEqual((await old.call("list_rooms")).rooms.length, 1);
  strictEqual((await taking.call("get_room", { roomId })).room.member.leftReason, null);

  const lost = await token([]);
  deepStrictEqual((await lost.call("list_rooms")).rooms, []);
  // still valid, and says greek: what it says has been taken back
  strictEqual(await codeOf(taking.call("join_room", { roomId })), "not_found");
  const again = await door.ear("pia", { courses: ["greek"], issuedAt: SINCE - 500 });
  strictEqual(await codeOf(again.call("join_room", { roomId })), "not_found");
  deepStrictEqual((await taking.call("list_rooms")).rooms, []);
  deepStrictEqual((await again.call("sync", {})).rooms, []);
});

atEveryDoor("the role of an older token gives no standing in a course's rooms", async (door) => {
  const { roomId } = await courseRoom(door);
  const teaching = await signedIn(door, "theo", { ...TEACHER, issuedAt: SINCE });
  await signedIn(door, "theo", { courses: ["greek"], issuedAt: SINCE + 1 });
  strictEqual((await teaching.call("join_room", { roomId })).member.role, "MEMBER");
});

atEveryDoor("authenticate on a socket suspends and restores in place", async (door, doors) => {
  const { roomId } = await courseRoom(door);
  const ear = await door.ear("pia", { courses: ["greek"], issuedAt: SINCE });
  await ear.call("join_room", { roomId });
  const renew = async (courses: string[], issuedAt: number) =>
    await ear.call("authenticate", { token: await doors.app.tokenFor("pia", { courses, issuedAt }) });
  await renew([], SINCE + 1);
  strictEqual((await ear.next("room_removed")).reason, "suspended");
  strictEqual(await codeOf(ear.call("send_message", { roomId, content: "still here?" })), "not_found");
  await renew(["greek"], SINCE + 2);
  strictEqual((await ear.next("room_added")).roomId, roomId);
  await ear.call("send_message", { roomId, content: "back" });
});

atEveryDoor("a place that was given away meanwhile is not given back", async (door) => {
  const { roomId } = await courseRoom(door, { maxMembers: 2 });
  const token = pupil(door, "pia");
  await (await token(["greek"])).call("join_room", { roomId });
  await token([]);
  const paul = await signedIn(door, "paul", { courses: ["greek"] });
  await paul.call("join_room", { roomId });
  const pia = await token(["greek"]);
  deepStrictEqual((await pia.call("list_rooms")).rooms, []);
  strictEqual(await codeOf(pia.call("join_room", { roomId })), "room_full");
  await paul.call("leave_room", { roomId, membership: true });
  await pia.call("join_room", { roomId });
  deepStrictEqual((await pia.call("list_members", { roomId })).members.map(({ userId }: Json) => userId), [
    "pia",
    "tina",
  ]);
});

atEveryDoor("whoever was removed or banned is not restored by a course regained", async (door) => {
  const { tina, roomId } = await courseRoom(door);
  const tokens = { removed: pupil(door, "removed"), banned: pupil(door, "banned") };
  for (const token of Object.values(tokens)) await (await token(["greek"])).call("join_room", { roomId });
  await tina.call("remove_member", { roomId, userId: "removed" });
  await tokens.banned([]);
  await tina.call("update_member", { roomId, userId: "banned", isBlocked: true });
  for (const token of Object.values(tokens)) await token([]);
  for (const token of Object.values(tokens)) {
    deepStrictEqual((await (await token(["greek"])).call("list_rooms")).rooms, []);
  }
});

Deno.test("a course regained is noticed by a node that has only seen the tokens before", async () => {
  const buses = [new MemoryBus(), new MemoryBus()] as const; // they hear nothing of each other
  await using here: TestDoors = await startDoors({ bus: buses[0] });
  await using elsewhere: TestDoors = await startDoors({ database: here.app.database, bus: buses[1] });
  const { roomId } = await courseRoom(here.rest);
  const at = (doors: TestDoors, courses: string[], issuedAt: number) =>
    signedIn(doors.rest, "pia", { courses, issuedAt });
  await (await at(here, ["greek"], SINCE)).call("join_room", { roomId });
  deepStrictEqual((await (await at(elsewhere, [], SINCE + 1)).call("list_rooms")).rooms, []);
  const { rooms } = await (await at(here, ["greek"], SINCE + 2)).call("list_rooms");
  deepStrictEqual(rooms.map(({ id }: Json) => id), [roomId]);
});
