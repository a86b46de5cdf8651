/** Typing, over two nodes: who hears of it, once, and by what it ends, also where no word of the end arrives. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, type Ear, type Json } from "../helpers/doors.ts";
import { LOSES_ALL, TwoNodes } from "../helpers/two_nodes.ts";
import { makeRoom } from "../suites/door_suite.ts";

const LONG = { CHAT_TYPING_TIMEOUT: "60000" };
const SHORT = { CHAT_TYPING_TIMEOUT: "400" };

const heard = (ear: Ear): boolean[] => ear.events("typing_indicator").map(({ isTyping }) => isTyping);
const types = (ear: Ear, roomId: string, isTyping = true): Promise<Json> =>
  ear.call("typing", { roomId, isTyping });

/** What has been published by now has come. */
async function expectHeard(ears: readonly Ear[], expected: boolean[]): Promise<void> {
  for (const ear of ears) {
    await ear.settled();
    deepStrictEqual(heard(ear), expected, ear.userId);
  }
}

const untilHeard = (ears: readonly Ear[], count: number): Promise<unknown> =>
  Promise.all(ears.map((ear) => ear.until("typing_indicator", count)));

/** Ada on both nodes, Bob on both: all of them hear a room. */
async function scene(nodes: TwoNodes): Promise<{ roomId: string; adas: [Ear, Ear]; bobs: [Ear, Ear] }> {
  const adas: [Ear, Ear] = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada")];
  const bobs: [Ear, Ear] = [await nodes.ear(0, "bob"), await nodes.ear(1, "bob")];
  const roomId = await makeRoom(adas[0], ["bob"]);
  for (const ear of [...adas, ...bobs]) await ear.call("join_room", { roomId });
  return { roomId, adas, bobs };
}

Deno.test("typing is heard once however often it is repeated, by those who hear the room, on every node", async () => {
  await using nodes = await TwoNodes.start(LONG);
  const { roomId, adas, bobs } = await scene(nodes);
  const eve = await nodes.ear(1, "eve");
  const deaf = await nodes.ear(1, "bob"); // a device that does not hear the room
  for (let i = 0; i < 5; i++) deepStrictEqual(await types(adas[0], roomId), {});
  await expectHeard(bobs, [true]);
  const user = { id: "ada", name: "ada", avatarUrl: null };
  deepStrictEqual(bobs[1].events("typing_indicator")[0], { roomId, userId: "ada", user, isTyping: true });
  for (let i = 0; i < 2; i++) await types(adas[0], roomId, false);
  await expectHeard(bobs, [true, false]);
  await types(adas[1], roomId); // from the other node
  await types(bobs[0], roomId);
  await expectHeard(bobs, [true, false, true]);
  await expectHeard(adas, [true]); // of Bob, never of herself
  await expectHeard([eve, deaf], []);
});

Deno.test("typing ends by itself after the timeout, not while it goes on, on every node", async () => {
  await using nodes = await TwoNodes.start({ CHAT_TYPING_TIMEOUT: "1200" });
  const { roomId, adas, bobs } = await scene(nodes);
  let last = 0;
  for (let i = 0; i < 8; i++) {
    await types(adas[0], roomId);
    last = performance.now();
    await sleep(250); // goes on for longer than the timeout
  }
  await expectHeard(bobs, [true]);
  await untilHeard(bobs, 2);
  ok(performance.now() - last >= 1_100, `ended ${performance.now() - last} ms after the last word`);
  await expectHeard(bobs, [true, false]);
});

Deno.test("typing ends with the connection, with the message, and with the membership", async () => {
  await using nodes = await TwoNodes.start(LONG);
  const { roomId, adas, bobs } = await scene(nodes);
  const third = await nodes.ear(0, "ada");
  await types(third, roomId);
  await third.socket.close();
  await untilHeard(bobs, 2);
  const atOther = await nodes.rest(1, "ada");
  const sends = [
    () => adas[0].call("send_message", { roomId, content: "by the same device" }),
    () => adas[1].call("send_message", { roomId, content: "by another one, of another node" }),
    () => atOther.call("send_message", { roomId, content: "by REST" }),
  ];
  const expected = [true, false];
  for (const send of sends) {
    await types(adas[0], roomId);
    await send();
    expected.push(true, false);
    await untilHeard(bobs, expected.length);
  }
  await types(adas[0], roomId); // told again at once, though the room was told a moment ago
  await expectHeard(bobs, [...expected, true]);
  const owner = await nodes.rest(1, "ada");
  await types(bobs[0], roomId);
  await expectHeard(adas, [true]);
  await owner.call("remove_member", { roomId, userId: "bob" });
  await untilHeard(adas, 2);
  await expectHeard(adas, [true, false]);
});

Deno.test("typing ends on the other node by its own clock if every word of the end is lost", async () => {
  await using nodes = await TwoNodes.start(SHORT);
  const { roomId, adas, bobs } = await scene(nodes);
  await types(adas[0], roomId);
  await untilHeard(bobs, 1);
  nodes.setFaults(1, LOSES_ALL);
  await types(adas[0], roomId, false);
  await expectHeard([bobs[0]], [true, false]);
  await untilHeard([bobs[1]], 2);
  nodes.setFaults(1, undefined);
  await types(adas[0], roomId);
  await untilHeard(bobs, 3);
  nodes.setFaults(1, LOSES_ALL);
  await nodes.end(0); // the typist's node goes
  await untilHeard([bobs[1]], 4);
  deepStrictEqual(heard(bobs[1]), [true, false, true, false]);
});

Deno.test("typing of two devices ends with the second one, whichever nodes they are on", async () => {
  await using nodes = await TwoNodes.start(LONG);
  const { roomId, adas, bobs } = await scene(nodes);
  for (const ends of ["by word", "by death"]) {
    for (const [one, other] of [[0, 1], [1, 0], [0, 0]] as const) {
      const before = heard(bobs[0]).length;
      const devices = [await nodes.ear(one, "ada"), await nodes.ear(other, "ada")] as const;
      for (const device of devices) await types(device, roomId);
      const stop = (device: Ear) => ends === "by word" ? types(device, roomId, false) : device.socket.close();
      await stop(devices[0]);
      // the node has seen the socket go once it has dealt with what came later
      if (ends === "by death") await (await nodes.ear(one, "ada")).settled();
      for (const bob of bobs) {
        await bob.settled();
        deepStrictEqual(heard(bob).slice(before), [true], `${ends}, ${one} and ${other}`);
      }
      await stop(devices[1]);
      await untilHeard(bobs, before + 2);
      for (const device of devices) await device.socket.close();
    }
  }
  for (const bob of bobs) strictEqual(heard(bob).length, 12);
  await expectHeard(adas, []);
});

Deno.test("typing in a direct room is heard by the other user alone, and ends with the message", async () => {
  await using nodes = await TwoNodes.start(LONG);
  const adas = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada")] as const;
  const bobs = [await nodes.ear(0, "bob"), await nodes.ear(1, "bob")] as const;
  const eve = await nodes.ear(1, "eve");
  const { message } = await adas[0].call("send_direct_message", { recipientId: "bob", content: "hi" });
  const { roomId } = message;
  await types(adas[0], roomId);
  await expectHeard(bobs, [true]);
  await (await nodes.rest(1, "ada")).call("send_direct_message", { recipientId: "bob", content: "there" });
  await untilHeard(bobs, 2);
  await types(bobs[1], roomId);
  await types(bobs[1], roomId, false);
  await expectHeard(adas, [true, false]);
  await expectHeard(bobs, [true, false]);
  await expectHeard([eve], []);
  const { message: note } = await adas[0].call("send_direct_message", {
    recipientId: "ada",
    content: "note",
  });
  await types(adas[0], note.roomId); // to oneself
  await expectHeard(adas, [true, false]);
});

Deno.test("typing is refused to those who may not write there, and nobody hears of it", async () => {
  await using nodes = await TwoNodes.start(LONG);
  const { roomId, adas, bobs } = await scene(nodes);
  const eve = await nodes.ear(0, "eve");
  strictEqual(await codeOf(types(eve, roomId)), "forbidden");
  strictEqual(await codeOf(types(eve, crypto.randomUUID())), "not_found");
  await adas[0].call("update_member", { roomId, userId: "bob", isMuted: true });
  strictEqual(await codeOf(types(bobs[0], roomId)), "muted");
  const { message } = await adas[0].call("send_direct_message", { recipientId: "eve", content: "hi" });
  await adas[0].call("block_user", { userId: "eve" });
  for (const ear of [eve, adas[0]]) strictEqual(await codeOf(types(ear, message.roomId)), "blocked");
  strictEqual(await codeOf(types(bobs[0], message.roomId)), "not_found");
  await expectHeard([...adas, ...bobs, eve], []);
});
