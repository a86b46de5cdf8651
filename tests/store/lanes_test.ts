import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { RoomId, UserId } from "../../src/protocol/ids.ts";
import { laneOf } from "../../src/store/appender.ts";
import { checkSequence, draftOf, idOf, send, stored, TestStore, toRoom, until } from "./fixture.ts";

const LANES = 4;
const ROOMS = 24;
const LOCKED_MS = 2_000;
const LOCK_TIMEOUT_MS = 1_000;

/** Holds the room's row, as a transaction of somebody else's, until it is let go. */
async function lockRoom(store: TestStore, roomId: RoomId): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const done = store.sql.begin(async (tx) => {
    await tx`select from rooms where id = ${roomId} for update`;
    locked.resolve();
    await held.promise;
  });
  await Promise.race([locked.promise, done]);
  return async () => {
    held.resolve();
    await done;
  };
}

Deno.test("Appender: 1,000 sends of one moment in 50 rooms are one call a lane", async () => {
  await using store = await TestStore.open({ lanes: 8 });
  const [ada] = await store.users("ada") as [UserId];
  const rooms: RoomId[] = [];
  while (rooms.length < 50) rooms.push(await store.room([ada]));
  await store.node.appender.warm();
  const calls = store.node.appender.calls;
  const drafts = Array.from(
    { length: 1_000 },
    (_, i) => draftOf(toRoom(rooms[i % 50] as RoomId), ada, `m${i}`),
  );
  await Promise.all(drafts.map((draft) => send(store.node, draft).then(stored)));
  ok(store.node.appender.calls - calls <= 8, `${store.node.appender.calls - calls} calls`);
  for (const roomId of rooms) await checkSequence(store.sql, roomId, 3, 20);
});

Deno.test("Appender: a room locked for 2 s delays no other lane, and its own lane by one lock timeout", async () => {
  await using store = await TestStore.open({ lanes: LANES });
  const [ada] = await store.users("ada") as [UserId];
  const rooms: { id: RoomId; lane: number; times: number[] }[] = [];
  while (rooms.length < ROOMS) {
    const id = await store.room([ada]);
    rooms.push({ id, lane: laneOf(id, LANES), times: [] });
  }
  const [locked, ...others] = rooms as [typeof rooms[0], ...typeof rooms];
  const sameLane = others.filter((room) => room.lane === locked.lane);
  const otherLanes = others.filter((room) => room.lane !== locked.lane);
  ok(sameLane.length > 0 && otherLanes.length > 0);
  await store.node.appender.warm();

  const unlock = await lockRoom(store, locked.id);
  const lockedAt = performance.now();
  let isLocked = true;
  const stuck = ["one", "two", "three"].map((text) =>
    send(store.node, draftOf(toRoom(locked.id), ada, text))
  );
  const talking = others.map(async (room) => {
    for (let i = 0; isLocked; i++) {
      const began = performance.now();
      await send(store.node, draftOf(toRoom(room.id), ada, `m${i}`)).then(stored);
      room.times.push(performance.now() - began);
    }
  });
  const lockTime = () => performance.now() - lockedAt;
  try {
    await until(
      () => lockTime() >= LOCKED_MS && sameLane.every((room) => room.times.length > 5),
      "the lane to go on",
    );
    ok(lockTime() < LOCKED_MS + LOCK_TIMEOUT_MS, `the lane went on only after ${lockTime()} ms`);
  } finally {
    isLocked = false;
    await Promise.allSettled([unlock(), ...talking]);
  }
  const worst = (of: typeof rooms) => Math.max(...of.flatMap((room) => room.times));
  ok(worst(otherLanes) < LOCK_TIMEOUT_MS * 0.9, `another lane waited ${worst(otherLanes)} ms`);
  ok(worst(sameLane) < LOCK_TIMEOUT_MS * 2, `the same lane waited ${worst(sameLane)} ms`);
  ok(worst(sameLane) >= LOCK_TIMEOUT_MS * 0.9, "the locked room was in nobody's way: this proves nothing");
  deepStrictEqual((await Promise.all(stuck)).map((outcome) => stored(outcome).seq), [3, 4, 5]);
  for (const room of others) await checkSequence(store.sql, room.id, 3, room.times.length);
});

Deno.test("Appender: what one sends in order is stored in order, through lock timeouts, lost connections and faults", async () => {
  await using store = await TestStore.open({ lanes: 1 });
  const [ada] = await store.users("ada") as [UserId];
  const [roomId, beside] = [await store.room([ada]), await store.room([ada])];
  await store.node.appender.warm();
  const unlock = await lockRoom(store, roomId);
  const sent: { text: string; outcome: Promise<string> }[] = [];
  const say = (text: string, content = text) => {
    const outcome = send(store.node, draftOf(toRoom(roomId), ada, text, { content })).then(
      idOf,
      () => "failed",
    );
    sent.push({ text, outcome });
  };
  // in the first flush, in the next, and behind one that no call can store
  for (let i = 0; i < 10; i++) say(`a${i}`);
  const aside = send(store.node, draftOf(toRoom(beside), ada, "aside"));
  await new Promise((resolve) => setTimeout(resolve));
  for (let i = 0; i < 10; i++) say(`b${i}`);
  say("bad", "\0");
  for (let i = 0; i < 10; i++) say(`c${i}`);
  strictEqual(stored(await aside).seq, 3); // past the lock timeout: the locked room goes its own way
  await terminateAppends(store);
  await unlock();
  const ids = await Promise.all(sent.map((each) => each.outcome));
  const rows = await store.sql<{ id: string; text: string }[]>`
    select id, client_message_id as text from messages where room_id = ${roomId} order by seq`;
  deepStrictEqual(
    rows.map((row) => row.text),
    sent.map((each) => each.text).filter((text) => text !== "bad"),
  );
  deepStrictEqual(rows.map((row) => row.id), ids.filter((id) => id !== "failed"));
  strictEqual(ids[sent.findIndex((each) => each.text === "bad")], "failed");
});

/** Ends the connections on which appends wait for a lock; there is one at least. */
async function terminateAppends(store: TestStore): Promise<void> {
  let ended = 0;
  await until(async () => {
    const rows = await store.sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%append_messages%'`;
    ended += rows.length;
    return ended > 0;
  }, "an append to wait for the lock");
}
