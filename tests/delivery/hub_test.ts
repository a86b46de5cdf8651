/** The hub over a store that is made up: connections that begin to hear a room side by side, and how that ends. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { MemoryBus, MemoryTopics } from "../../src/bus/memory_bus.ts";
import { Connection } from "../../src/delivery/connection.ts";
import { Hub } from "../../src/delivery/hub.ts";
import { encodePublication, Push } from "../../src/delivery/push.ts";
import { newConnectionId, newNodeId, type UserId } from "../../src/protocol/ids.ts";
import { toJson } from "../../src/protocol/json_text.ts";
import { quietLog } from "../helpers/databases.ts";

const TOPIC = "room:x";
const pushOf = (seq: number): Push => new Push({ event: "e", data: toJson(seq), after: seq - 1, seq });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function startHub() {
  const topics = new MemoryTopics();
  const store = { lastSeq: 0, epoch: "one" };
  const reader = {
    readSince: async (_: string, since: number) => {
      const through = store.lastSeq;
      await pause(1);
      const pushes = Array.from({ length: through - since }, (_, i) => pushOf(since + i + 1));
      return { through, pushes, more: false };
    },
    ahead: (seen: Map<string, number>) =>
      Promise.resolve(
        new Map([...seen].filter(([, seq]) => seq < store.lastSeq).map(([topic]) => [topic, store.lastSeq])),
      ),
    epoch: () => Promise.resolve(store.epoch),
  };
  const bus = new MemoryBus(topics);
  const options = {
    nodeId: newNodeId(),
    bus,
    reader: reader as never,
    holdMs: 3,
    lingerMs: 1_000,
    log: quietLog,
    epoch: store.epoch,
  };
  const publish = (seq: number) => topics.send(TOPIC, encodePublication(newNodeId(), pushOf(seq)));
  return { hub: new Hub(options), store, publish };
}

function connect(userId = "ada"): { connection: Connection; heard: number[] } {
  const heard: number[] = [];
  const connection = new Connection(newConnectionId(), userId as UserId, {
    wire: { name: "test", encodePush: (_, data) => data },
    send: (frame) => void heard.push(JSON.parse(frame)),
    queuedBytes: () => 0,
    close: () => {},
  });
  return { connection, heard };
}

/** Whether it has settled, without waiting for it. */
async function isOpen(open: Promise<void>): Promise<boolean> {
  let settled = false;
  open.then(() => settled = true, () => settled = true);
  await pause(0);
  return settled;
}

Deno.test("Hub: until a stream has begun, one at a time reads where; then all do", async () => {
  const { hub } = startHub();
  await using _ = hub;
  const [first, second, third] = [connect(), connect(), connect()].map(({ connection }) =>
    hub.hear(connection, TOPIC)
  );
  deepStrictEqual(await Promise.all([first, second, third].map((one) => isOpen(one!.open))), [
    true,
    false,
    false,
  ]);
  hub.startAt(TOPIC, 5);
  deepStrictEqual(await Promise.all([second, third].map((one) => isOpen(one!.open))), [true, true]);
  strictEqual(await isOpen(hub.hear(connect().connection, TOPIC).open), true);
});

Deno.test("Hub: whoever gives up lets the next one read, and so does a connection that asks again, or goes", async () => {
  const { hub } = startHub();
  await using _ = hub;
  const [ada, bob, eve] = [connect().connection, connect().connection, connect().connection];
  const first = hub.hear(ada, TOPIC);
  const second = hub.hear(bob, TOPIC);
  const third = hub.hear(eve, TOPIC);
  hub.stopHearing(ada, TOPIC, first.subscription);
  deepStrictEqual([await isOpen(second.open), await isOpen(third.open)], [true, false]);
  const again = hub.hear(bob, TOPIC); // its first one never comes back
  deepStrictEqual([await isOpen(third.open), await isOpen(again.open)], [true, false]);
  hub.drop(eve);
  strictEqual(await isOpen(again.open), true);
});

Deno.test("Hub: a new epoch, or the end, keeps nobody waiting", async () => {
  const { hub, store } = startHub();
  hub.hear(connect().connection, "room:other");
  hub.startAt("room:other", 0);
  await hub.sweep(hub.topics());
  hub.hear(connect().connection, TOPIC);
  const waiting = hub.hear(connect().connection, TOPIC);
  store.epoch = "two";
  await hub.sweep(hub.topics());
  strictEqual(await isOpen(waiting.open), true);
  hub.hear(connect().connection, TOPIC);
  const last = hub.hear(connect().connection, TOPIC);
  await hub[Symbol.asyncDispose]();
  strictEqual(await isOpen(last.open), true);
});

Deno.test("Hub: all who begin to hear side by side, at whatever seq they read, hear all that follows it", async () => {
  const joiners = fc.array(fc.record({ afterMs: fc.nat(12), readMs: fc.nat(12) }), {
    minLength: 1,
    maxLength: 6,
  });
  const changes = fc.array(fc.record({ gapMs: fc.nat(4), lost: fc.boolean() }), { maxLength: 12 });
  const runs = 60 * Number(Deno.env.get("CHAT_PROPERTY_RUNS") ?? 1);
  await fc.assert(
    fc.asyncProperty(joiners, changes, async (joiners, changes) => {
      const { hub, store, publish } = startHub();
      await using _ = hub;
      const joined = joiners.map(async ({ afterMs, readMs }) => {
        await pause(afterMs);
        const { connection, heard } = connect();
        const { subscription, open } = hub.hear(connection, TOPIC);
        await open;
        const read = store.lastSeq;
        await pause(readMs);
        hub.startAt(TOPIC, read);
        subscription.goLive(read);
        return { read, heard };
      });
      for (const { gapMs, lost } of changes) {
        await pause(gapMs);
        store.lastSeq++;
        if (!lost) publish(store.lastSeq);
      }
      const all = await Promise.all(joined);
      const complete = () => all.every(({ read, heard }) => read + heard.length >= store.lastSeq);
      for (let sweep = 0; sweep < 20 && !complete(); sweep++) {
        await hub.sweep(hub.topics());
        await pause(8);
      }
      for (const { read, heard } of all) {
        deepStrictEqual(heard, Array.from({ length: store.lastSeq - read }, (_, i) => read + i + 1));
      }
      ok(complete());
    }),
    { numRuns: Math.ceil(runs) },
  );
});
