/** How sockets come to hear rooms: by sync and join_room, under load, when reads fail, when they go in the middle of it. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { Connection } from "../../src/delivery/connection.ts";
import { Push } from "../../src/delivery/push.ts";
import { Subscription } from "../../src/delivery/subscription.ts";
import type { ConnectionId, UserId } from "../../src/protocol/ids.ts";
import { toJson } from "../../src/protocol/json_text.ts";
import { startTestApp, type TestApp } from "../helpers/test_app.ts";

async function makeRooms(app: TestApp, count: number): Promise<string[]> {
  const ada = await app.rest("ada");
  const rooms: string[] = [];
  for (let i = 0; i < count; i++) rooms.push((await ada.post("/rooms", { name: `Room ${i}` })).body.room.id);
  return rooms;
}

async function positionsOf(app: TestApp): Promise<Record<string, unknown>> {
  const { body } = await (await app.rest("ada")).get("/rooms?limit=100");
  // deno-lint-ignore no-explicit-any -- as the published schema says
  return Object.fromEntries(body.rooms.map((room: any) => [room.id, room.position]));
}

Deno.test("sync past its size hears every room that is current, and says `more` for the rest until all are told", async () => {
  await using app = await startTestApp();
  const rooms = await makeRooms(app, 24);
  const positions = await positionsOf(app);
  const bob = await app.rest("ada");
  const long = "x".repeat(5_000);
  for (const roomId of rooms.slice(0, 4)) {
    await Promise.all(Array.from({ length: 45 }, () => bob.post("/messages", { roomId, content: long })));
  }
  const ada = await app.connect("ada");
  const told = new Set<string>();
  for (let calls = 1;; calls++) {
    const answer = await ada.call("sync", { positions });
    for (const { roomId, position } of answer.rooms) {
      told.add(roomId);
      positions[roomId] = position;
    }
    if (!answer.more) break;
    ok(calls < 10, "sync does not come to an end");
  }
  deepStrictEqual([...told].sort(), rooms.slice(0, 4).sort());
  for (const roomId of rooms) await bob.post("/messages", { roomId, content: "after" });
  for (const roomId of rooms) {
    await ada.next("message_received", (data) => data.roomId === roomId && data.message.content === "after");
  }
});

Deno.test("sync that fails leaves nothing half heard: the socket is told, and hears all after the next one", async () => {
  await using app = await startTestApp({ env: { DATABASE_TIMEOUT: "400" } });
  const rooms = await makeRooms(app, 6);
  const ada = await app.connect("ada");
  await ada.call("sync", {});
  const sql = postgres(app.database.url, { max: 1, fetch_types: false });
  await sql.begin(async (tx) => {
    await tx`lock table messages in access exclusive mode`;
    await rejects(ada.call("sync", {}), { code: "unavailable" });
  });
  await sql.end();
  const left = new Set(ada.events("room_left").map(({ roomId }) => roomId));
  const answer = await ada.call("sync", {});
  strictEqual(answer.rooms.length, rooms.length);
  ok(left.size > 0);
  const rest = await app.rest("ada");
  for (const roomId of rooms) await rest.post("/messages", { roomId, content: "after" });
  for (const roomId of rooms) await ada.next("message_received", (data) => data.roomId === roomId);
});

Deno.test("a socket that goes in the middle of a sync leaves nothing behind", async () => {
  await using app = await startTestApp();
  await makeRooms(app, 40);
  for (let i = 0; i < 5; i++) {
    const socket = await app.connect("ada");
    socket.emit("sync");
    await socket.close();
  }
  const connection = new Connection("c" as ConnectionId, "ada" as UserId, {
    wire: { name: "none", encodePush: () => "" },
    send: () => {},
    queuedBytes: () => 0,
    close: () => {},
  });
  connection.gone();
  await rejects(async () => await app.app.hub.hear(connection, "room:x").open, { code: "unavailable" });
  strictEqual(app.app.connections.count, 0);
});

Deno.test("join_room of a direct room answers what was missed, and its messages come once", async () => {
  await using app = await startTestApp();
  const [ada, bob] = await Promise.all([app.connect("ada"), app.connect("bob")]);
  const { message } = await ada.call("send_direct_message", { recipientId: "bob", content: "one" });
  const { messages } = await bob.call("join_room", { roomId: message.roomId });
  strictEqual(messages.length, 1);
  await ada.call("send_direct_message", { recipientId: "bob", content: "two" });
  await bob.next("direct_message_received", (data) => data.message.content === "two");
  await ada.call("send_direct_message", { recipientId: "bob", content: "three" });
  await bob.next("direct_message_received", (data) => data.message.content === "three");
  await new Promise((resolve) => setTimeout(resolve, 500)); // two sweeps
  strictEqual(bob.events("message_received").length, 0);
  strictEqual(bob.events("direct_message_received").length, 3);
});

Deno.test("Subscription that has overflowed closes its connection instead of going deaf", () => {
  const closes: number[] = [];
  const connection = new Connection("c" as ConnectionId, "ada" as UserId, {
    wire: { name: "none", encodePush: () => "" },
    send: () => {},
    queuedBytes: () => 0,
    close: (code) => closes.push(code),
  });
  const subscription = new Subscription(connection, "inbox:ada", () => {});
  for (let seq = 1; seq <= 3_000; seq++) {
    subscription.deliver(new Push({ event: "e", data: toJson({}), after: seq - 1, seq }));
  }
  strictEqual(subscription.ready, false);
  subscription.goLive(0);
  deepStrictEqual(closes, [4008]);
});

Deno.test("a new epoch sends every socket back to start anew", async () => {
  await using app = await startTestApp();
  const [roomId = ""] = await makeRooms(app, 1);
  const ada = await app.connect("ada");
  const { position } = await ada.call("join_room", { roomId });
  const sql = postgres(app.database.url, { max: 1, fetch_types: false });
  await sql`update server_state set epoch = 'another life'`;
  await sql.end();
  strictEqual((await ada.untilClosed()).code, 1012);
  const again = await app.connect("ada");
  const answer = await again.call("join_room", { roomId, since: position });
  strictEqual(answer.reset, true);
  strictEqual(answer.position.epoch, "another life");
});

Deno.test("leaving and joining at once hears the room, however close together", async () => {
  await using app = await startTestApp();
  const [roomId = ""] = await makeRooms(app, 1);
  const [ada, bob] = await Promise.all([app.connect("ada"), app.connect("bob")]);
  for (let i = 0; i < 30; i++) {
    await bob.call("join_room", { roomId });
    const leaving = bob.call("leave_room", { roomId, membership: true });
    const joining = bob.call("join_room", { roomId });
    await Promise.all([leaving, joining]);
    await ada.call("send_message", { roomId, content: `${i}` });
    await bob.next("message_received", (data) => data.message.content === `${i}`);
  }
  strictEqual(bob.events("message_received").length, 30);
});

Deno.test("20 sockets that join in the middle of a stream have it whole: history and live tile without hole or repeat", async () => {
  await using app = await startTestApp();
  const [roomId = ""] = await makeRooms(app, 1);
  const senders = await Promise.all(["ada", "bob"].map((name) => app.connect(name)));
  for (const sender of senders) await sender.call("join_room", { roomId });
  let stop = false;
  const pouring = senders.map(async (sender, s) => {
    for (let n = 0; !stop; n++) await sender.call("send_message", { roomId, content: `${s}-${n}` });
  });
  const listeners = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const listener = await app.connect(`listener-${i}`);
      await listener.call("join_room", { roomId });
      // gone and back, by either way, at whatever place
      const first = await listener.call("leave_room", { roomId }).then(() =>
        listener.call("join_room", { roomId })
      );
      const back = i % 2 === 0
        ? await listener.call("join_room", { roomId, since: first.position })
        : (await listener.call("sync", { positions: { [roomId]: first.position } })).rooms[0] ?? first;
      return { listener, from: back.position.seq as number, begun: listener.pushes.length };
    }),
  );
  stop = true;
  await Promise.all(pouring);
  const last = (await senders[0]!.call("get_room", { roomId })).room.lastSeq;
  for (const { listener, from, begun } of listeners) {
    const live = () =>
      listener.pushes.slice(begun).filter(({ data }) => data.roomId === roomId && data.seq > from);
    await listener.until(() => from >= last || live().at(-1)?.data.seq === last, `seq ${last}`);
    let at = from;
    for (const { event, data } of live()) {
      if (event === "room_added") continue;
      strictEqual(data.after, at);
      at = data.seq;
    }
  }
});
