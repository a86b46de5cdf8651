/**
 * Recovery is truthful: wherever a client is cut off, it is told that it has recovered only if all that it missed comes by
 * itself, once and in order, and if it hears what it heard before, and nothing else.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { withDeadline } from "../helpers/deadline.ts";
import type { Transports } from "../helpers/socketio_client.ts";
import { signToken, type TestApp } from "../helpers/test_app.ts";
import { back, cut, said, Scene, untilQuiet } from "./recovery_scene.ts";

/** Of minutes that each wait in it might take, no more than this. */
const TRAP_MS = 120_000;

const TRANSPORTS: readonly Transports[] = [["websocket"], ["polling"], ["polling", "websocket"]];

/** Cut off three times, while things are said in both of its rooms. */
async function missesNothing(scene: Scene, transports: Transports, node: TestApp): Promise<void> {
  const rooms = [await scene.room("owner", "ann"), await scene.room("owner", "ann")];
  const ann = await scene.client("ann", transports);
  for (const roomId of rooms) await ann.call("join_room", { roomId });
  for (const roomId of rooms) await scene.say("owner", roomId, "before");
  await ann.until(() => said(ann).length === 2, "both");
  for (let turn = 1; turn <= 3; turn++) {
    await cut(ann);
    for (const i of [1, 2, 3]) {
      for (const roomId of rooms) await scene.say("owner", roomId, `${turn} ${i}`);
    }
    strictEqual(await back(ann, node), true);
    for (const roomId of rooms) await untilQuiet(scene, ann, roomId);
  }
  const expected = ["before", ...[1, 2, 3].flatMap((turn) => [1, 2, 3].map((i) => `${turn} ${i}`))];
  for (const roomId of rooms) {
    const own = ann.events("message_received").filter((push) => push.roomId === roomId);
    deepStrictEqual(own.map(({ message }) => message.content), expected);
  }
}

const traps: Record<string, (scene: Scene) => Promise<void>> = {
  "all that was missed comes at any node, by any transport: once, in order": async (scene) => {
    for (const transports of TRANSPORTS) {
      for (const node of scene.nodes) await missesNothing(scene, transports, node);
    }
  },

  "a room that was joined just before the cut is heard after a recovery, one that was left is not": async (
    scene,
  ) => {
    for (const transports of TRANSPORTS) {
      const [joined, left, quiet] = [
        await scene.room("owner", "ann"),
        await scene.room("owner", "ann"),
        await scene.room("owner", "ann"),
      ];
      const ann = await scene.client("ann", transports);
      for (const roomId of [left, quiet]) await ann.call("join_room", { roomId });
      await ann.call("leave_room", { roomId: left });
      await ann.call("join_room", { roomId: joined });
      await cut(ann); // nothing was said in any of them
      await scene.say("owner", joined, "joined");
      await scene.say("owner", left, "left");
      strictEqual(await back(ann, scene.nodes[1]!), true);
      await untilQuiet(scene, ann, joined);
      await untilQuiet(scene, ann, quiet);
      await scene.say("owner", left, "left");
      await untilQuiet(scene, ann, quiet);
      deepStrictEqual(said(ann), ["joined"]);
    }
  },

  "a join whose answer was cut off is no lie": async (scene) => {
    for (let turn = 0; turn < 10; turn++) {
      const rooms = [await scene.room("owner", "ann"), await scene.room("owner", "ann")];
      const ann = await scene.client("ann", ["websocket"]);
      await ann.call("join_room", { roomId: rooms[0] });
      const asked = ann.call("join_room", { roomId: rooms[1] }).then(() => true, () => false);
      await new Promise((resolve) => setTimeout(resolve, turn * 2)); // before, in, and after it
      await cut(ann);
      const known = await asked;
      await scene.say("owner", rooms[1]!, "missed");
      strictEqual(await back(ann, scene.nodes[turn % 2]!), true);
      await untilQuiet(scene, ann, rooms[0]!);
      if (!known) continue; // it may be heard or not: the client asks again
      await untilQuiet(scene, ann, rooms[1]!);
      deepStrictEqual(said(ann), ["missed"]);
    }
  },

  "edits, deletions and direct messages that were missed come too": async (scene) => {
    const roomId = await scene.room("owner", "ann");
    const ann = await scene.client("ann");
    await ann.call("join_room", { roomId });
    const [edited, deleted] = [
      await scene.say("owner", roomId, "one"),
      await scene.say("owner", roomId, "two"),
    ];
    await ann.until(() => said(ann).length === 2, "both");
    await cut(ann);
    const owner = await scene.rest("owner");
    strictEqual((await owner.put(`/messages/${edited}`, { content: "one!" })).status, 200);
    strictEqual((await owner.delete(`/messages/${deleted}`)).status, 200);
    const direct = { recipientId: "ann", content: "psst" };
    strictEqual((await owner.post("/direct-messages", direct)).status, 201);
    strictEqual(await back(ann, scene.nodes[1]!), true);
    await ann.next("direct_message_received", ({ message }) => message.content === "psst");
    await ann.next("message_updated", ({ message }) => message.id === edited && message.content === "one!");
    await ann.next("message_deleted", (data) => JSON.stringify(data).includes(deleted));
    strictEqual((await owner.post("/direct-messages", { ...direct, content: "again" })).status, 201);
    await ann.next("direct_message_received", ({ message }) => message.content === "again");
    const directs = ann.events("direct_message_received").map(({ message }) => message.content);
    deepStrictEqual(directs, ["psst", "again"]);
  },

  "who was removed while away hears nothing more of the room, and knows of it": async (scene) => {
    const [roomId, other] = [await scene.room("owner", "ann"), await scene.room("owner", "ann")];
    const ann = await scene.client("ann");
    for (const id of [roomId, other]) await ann.call("join_room", { roomId: id });
    await cut(ann);
    const owner = await scene.rest("owner");
    strictEqual((await owner.delete(`/rooms/${roomId}/members/ann`)).status, 200);
    await scene.say("owner", roomId, "secret");
    const recovered = await back(ann, scene.nodes[1]!);
    if (recovered) await ann.next("room_removed", (data) => data.roomId === roomId);
    else await ann.call("join_room", { roomId: other });
    await scene.say("owner", roomId, "secret");
    await untilQuiet(scene, ann, other);
    ok(!JSON.stringify(ann.pushes).includes("secret"));
  },

  "what cannot be had is not recovered: too much, too many rooms, another life, another's, none of ours":
    async (scene) => {
      const roomId = await scene.room("owner", "ann");
      const strange = await scene.room("owner");
      const ann = await scene.client("ann", ["websocket"]);
      await ann.call("join_room", { roomId });
      await scene.say("owner", roomId, "before");
      await ann.until(() => said(ann).length === 1, "it");
      const kept = ann.socket as unknown as {
        _pid: string;
        _lastOffset: string;
        auth: Record<string, unknown>;
      };
      const { _pid: pid, _lastOffset: offset } = kept;
      ok(pid !== undefined && offset !== "" && offset !== undefined);
      const entry = offset.split(",").at(-1)!;
      const id = Uint8Array.fromHex(strange.replaceAll("-", "")).toBase64({
        alphabet: "base64url",
        omitPadding: true,
      });
      const lies: [string, unknown, unknown][] = [
        ["another's pid", `${pid.slice(0, -3)}abc`, offset],
        ["no pid of ours", "abc", offset],
        ["a pid that is no text", { pid }, offset],
        ["no offset", pid, undefined],
        ["an empty offset", pid, ""],
        ["an offset that is no text", pid, [offset]],
        ["a long offset", pid, `${offset}${`,${entry}`.repeat(1_000)}`],
        ["another epoch", pid, offset.replace(/^[0-9a-f-]{36}/, crypto.randomUUID())],
        ["a place that is yet to come", pid, `${offset}0`],
        ["a room that is another's", pid, `${offset},${id}0`],
        ["a room that does not exist", pid, `${offset},${"A".repeat(22)}0`],
      ];
      for (const [what, badPid, badOffset] of lies) {
        await cut(ann);
        ann.pushes.length = 0;
        Object.assign(kept, { _pid: badPid, _lastOffset: badOffset });
        strictEqual(await back(ann, scene.nodes[1]!), false, what);
        ok(!JSON.stringify(ann.pushes).includes("before"), what);
        await ann.call("join_room", { roomId });
        await untilQuiet(scene, ann, roomId);
      }

      await cut(ann);
      const owner = await scene.client("owner", ["websocket"]);
      const content = "x".repeat(4_900);
      for (let sent = 0; sent < 250; sent += 50) {
        const ask = { roomId, content };
        await Promise.all(Array.from({ length: 50 }, () => owner.call("send_message", ask)));
      }
      strictEqual(await back(ann, scene.nodes[1]!), false, "more than a catch-up holds");
    },

  "another user on the same client recovers nothing of the first": async (scene) => {
    const roomId = await scene.room("owner", "ann");
    const ann = await scene.client("ann");
    await ann.call("join_room", { roomId });
    await scene.say("owner", roomId, "before");
    await ann.until(() => said(ann).length === 1, "it");
    await cut(ann);
    await scene.say("owner", roomId, "secret");
    ann.pushes.length = 0;
    ann.socket.auth = { token: await signToken("bob") };
    strictEqual(await back(ann, scene.nodes[0]!), false);
    await ann.next("hello", ({ userId }) => userId === "bob");
    await scene.say("owner", roomId, "secret");
    await ann.call("list_rooms");
    ok(!JSON.stringify(ann.pushes).includes("secret"));
  },

  "33 rooms are too many to recover, and 32 are not": async (scene) => {
    const rooms: string[] = [];
    for (let i = 0; i < 33; i++) rooms.push(await scene.room("owner", "ann"));
    const ann = await scene.client("ann", ["websocket"]);
    for (const roomId of rooms) await ann.call("join_room", { roomId });
    await scene.say("owner", rooms[0]!, "33");
    await ann.until(() => said(ann).length === 1, "it");
    await cut(ann);
    strictEqual(await back(ann, scene.nodes[1]!), false);
    for (const roomId of rooms) await ann.call("join_room", { roomId });
    await ann.call("leave_room", { roomId: rooms[0] });
    await cut(ann);
    await scene.say("owner", rooms[32]!, "32");
    strictEqual(await back(ann, scene.nodes[1]!), true);
    await ann.next("message_received", ({ message }) => message.content === "32");
  },
};

Deno.test("recovery is truthful", async (t) => {
  await using scene = await Scene.start();
  for (const [name, check] of Object.entries(traps)) {
    await t.step(name, async () => {
      try {
        await withDeadline(check(scene), TRAP_MS, () => `the end of: ${name}`);
      } finally {
        await scene.closeClients();
      }
    });
  }
});
