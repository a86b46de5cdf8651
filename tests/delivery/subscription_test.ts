/** The hand-over from history to live: alone, and in a room into which two senders pour while twenty devices come and go. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Connection, type Outlet } from "../../src/delivery/connection.ts";
import { Push } from "../../src/delivery/push.ts";
import { Subscription } from "../../src/delivery/subscription.ts";
import { newConnectionId, type UserId } from "../../src/protocol/ids.ts";
import { toJson } from "../../src/protocol/json_text.ts";
import { ModelClient } from "../helpers/chat_model.ts";
import { FaultyPair, randomOf } from "../helpers/faulty_bus.ts";

const ADA = "ada" as UserId;
const GRACE = "grace" as UserId;

function subscribe(
  userId: UserId,
  queue: { bytes: number } = { bytes: 0 },
): { heard: number[]; connection: Connection; subscription: Subscription; ends: number } {
  const heard: number[] = [];
  const outlet: Outlet = {
    wire: { name: "test", encodePush: (_, data) => data },
    send: (frame) => void heard.push(JSON.parse(frame)),
    queuedBytes: () => queue.bytes,
    close: () => {},
  };
  const connection = new Connection(newConnectionId(), userId, outlet);
  const subscription = new Subscription(connection, "inbox:ada", () => {
    told.ends++;
    subscription.end(); // as the hub does
  });
  const told = { heard, connection, ends: 0, subscription };
  return told;
}

function pushOf(seq: number, more: Pick<ConstructorParameters<typeof Push>[0], "ends" | "stays"> = {}): Push {
  return new Push({ event: "message_received", data: toJson(seq), after: seq - 1, seq, ...more });
}

Deno.test("Subscription: what comes while it catches up follows the answer, without what the answer held", () => {
  const { heard, subscription } = subscribe(ADA);
  for (const seq of [4, 5, 6, 7]) subscription.deliver(pushOf(seq));
  deepStrictEqual(heard, []);
  subscription.goLive(5);
  subscription.deliver(pushOf(8));
  deepStrictEqual(heard, [6, 7, 8]);
});

Deno.test("Subscription: the end of an earlier membership, which the answer is past, ends nothing", () => {
  const told = subscribe(ADA);
  told.subscription.deliver(pushOf(4, { ends: ADA }));
  told.subscription.goLive(6);
  told.subscription.deliver(pushOf(5, { ends: "everyone" }));
  told.subscription.deliver(pushOf(7));
  deepStrictEqual([told.heard, told.ends], [[7], 0]);
});

Deno.test("Subscription: the end that comes while it catches up is told, and nothing after it", () => {
  const told = subscribe(ADA);
  const pushes = [pushOf(7, { ends: GRACE }), pushOf(8, { ends: ADA }), pushOf(9)];
  for (const push of pushes) told.subscription.deliver(push);
  told.subscription.goLive(6);
  deepStrictEqual([told.heard, told.ends], [[7, 8], 1]);
});

Deno.test("Subscription: a repaired push is kept from those who were not there, but not the one that tells them so", () => {
  const told = subscribe(ADA);
  told.subscription.goLive(4);
  const stays = new Map([[ADA, { from: 7, to: 8 }], [GRACE, { from: 0, to: 0 }]]);
  for (const seq of [5, 6, 7, 8, 9]) told.subscription.deliver(pushOf(seq, { stays }));
  told.subscription.deliver(pushOf(10, { stays, ends: ADA }));
  deepStrictEqual([told.heard, told.ends], [[7, 8, 10], 1]);
});

Deno.test("Subscription: more than can wait is read again; with no turn left for that, the connection is closed", () => {
  const told = subscribe(ADA);
  for (let seq = 1; seq <= 2_001; seq++) told.subscription.deliver(pushOf(seq));
  strictEqual(told.subscription.ready, false);
  told.subscription.restart();
  told.subscription.deliver(pushOf(2_002));
  told.subscription.goLive(2_001);
  deepStrictEqual(told.heard, [2_002]);

  const late = subscribe(ADA);
  strictEqual(late.subscription.ready, true); // it was, when the read came back
  for (let seq = 1; seq <= 2_001; seq++) late.subscription.deliver(pushOf(seq));
  late.subscription.goLive(1);
  strictEqual(late.connection.closed, "slow_consumer");
});

Deno.test("Subscription: a long answer that the peer has not read yet makes no slow consumer of it; unread pushes do", () => {
  const MIB = 1024 * 1024;
  const queue = { bytes: 3 * MIB };
  const told = subscribe(ADA, queue);
  told.subscription.deliver(pushOf(2));
  told.subscription.goLive(1);
  queue.bytes += MIB / 2; // pushes, behind the answer
  told.subscription.deliver(pushOf(3));
  deepStrictEqual([told.heard, told.connection.closed], [[2, 3], undefined]);
  queue.bytes = 1; // all has been read
  told.subscription.deliver(pushOf(4));
  queue.bytes += MIB;
  told.subscription.deliver(pushOf(5));
  deepStrictEqual([told.heard, told.connection.closed], [[2, 3, 4], "slow_consumer"]);
});

const DEVICES = 20;
const MESSAGES = 300;

Deno.test("hand-over: devices come and go, at any position, while two senders pour: each hears each seq once, in order", async () => {
  await using pair = await FaultyPair.start();
  const random = randomOf(Number(Deno.env.get("CHAT_PROPERTY_SEED") ?? 7));
  const owner = await pair.node(0).rest("owner");
  const roomId: string = (await owner.post("/rooms", { name: "Lecture" })).body.room.id;
  const devices = Array.from(
    { length: DEVICES },
    (_, i) => new ModelClient(`user-${i}`, { mends: i % 2 === 0 ? "join" : "sync", batch: i % 3 === 0 }),
  );
  for (const [i, device] of devices.entries()) {
    await (await pair.node(i).rest(device.userId)).post(`/rooms/${roomId}/join`);
    await device.connect(pair.node(i), "sync");
  }
  pair.setFaults({ drop: 0.1, double: 0.1, late: 0.2, lateMs: 60 });

  let pouring = 2;
  const pour = async (n: number): Promise<void> => {
    const sender = new ModelClient("owner", { hears: false });
    await sender.connect(pair.node(n), "join");
    for (let i = 0; i < MESSAGES; i += 4) {
      const contents = [0, 1, 2, 3].map((k) => `${n} says ${i + k}`);
      await Promise.all(contents.map((content) => sender.ask("send_message", { roomId, content })));
    }
    pouring--;
    await sender.disconnect();
  };
  const comeAndGo = async (device: ModelClient): Promise<void> => {
    const old = structuredClone(device.model.state);
    while (pouring > 0) {
      await new Promise((resolve) => setTimeout(resolve, random() * 150));
      await device.disconnect();
      if (random() < 0.2) device.model.state = structuredClone(old);
      await device.connect(pair.node(Math.floor(random() * 2)), random() < 0.5 ? "sync" : "join");
    }
  };
  await Promise.all([pour(0), pour(1), ...devices.map(comeAndGo)]);
  pair.setFaults(undefined);

  const stored = await pair.sql`select id, seq, content from messages where room_id = ${roomId} order by seq`;
  strictEqual(stored.length, 2 * MESSAGES);
  const lastSeq = stored.at(-1)?.seq;
  for (const device of devices) {
    await until(() => device.model.positionOf(roomId)?.seq === lastSeq);
    deepStrictEqual([device.faults, device.holes, device.repeats], [[], [], 0], device.userId);
    const { from = 0, messages } = device.model.state.rooms.get(roomId) ?? {};
    const held = [...messages?.values() ?? []].sort((a, b) => a.seq - b.seq);
    deepStrictEqual(
      held.map(({ id, seq, content }) => [id, seq, content]),
      stored.filter(({ seq }) => seq >= from).map(({ id, seq, content }) => [id, seq, content]),
    );
    // a push is one message here: what each socket heard runs on by ones, from where its answer ended
    for (const [i, { after, seq }] of device.seen.entries()) {
      strictEqual(after, seq - 1, `${i}: (${after}, ${seq}]`);
    }
    await device.disconnect();
  }
  deepStrictEqual(pair.errors, []);
});

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 5_000; !holds() && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
