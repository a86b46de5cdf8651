/**
 * What the appender promises on every Postgres that we support: once, in order, without holes; by the rules as
 * they stand when the room's lock is had; and no bad item fails its neighbours.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { newMessageId, type RoomId, type UserId } from "../../src/protocol/ids.ts";
import type { Appended, Draft } from "../../src/store/appender.ts";
import {
  checkSequence,
  draftOf,
  idOf,
  seeded,
  send,
  stored,
  type StoreOptions,
  TestStore,
  toRoom,
  toUser,
  until,
  waitingAppends,
} from "./fixture.ts";

const SENDS = 400;
const REPEATS = 160;
const NODES = 4;
const CLIENTS = 5;

/** 400 sends, 160 of them repeats, from four nodes at once, round after round. */
export async function sendsAndRepeats(options: StoreOptions, rounds: number): Promise<void> {
  await using store = await TestStore.open({ ...options, nodes: NODES });
  const users = await store.users("ada", "ben", "cid", "dot", "eve");
  const random = seeded(20_260_731);
  for (let round = 0; round < rounds; round++) {
    const roomId = await store.room(users);
    const [head] = await store.sql`select last_seq from rooms where id = ${roomId}`;
    const drafts = withRepeats(SENDS, REPEATS, random, (i) => {
      return { target: toRoom(roomId), senderId: users[i % users.length] as UserId };
    });
    const outcomes = await sendAll(store, drafts, round % 2 === 0);
    checkRepeats(drafts, outcomes);
    await checkSequence(store.sql, roomId, head?.["last_seq"] + 1, SENDS - REPEATS);
  }
}

/** The first message of two users makes their room: four nodes race to be it, from both sides, with one user in all rooms. */
export async function directRooms(options: StoreOptions, rounds: number): Promise<void> {
  await using store = await TestStore.open({ ...options, nodes: NODES });
  const random = seeded(20_260_801);
  for (let round = 0; round < rounds; round++) {
    const [hub, ...others] = await store.users(...Array.from({ length: 11 }, (_, i) => `user-${round}-${i}`));
    const drafts = withRepeats(SENDS, REPEATS, random, (i) => {
      const [one, other] = [hub, others[i % others.length]] as [UserId, UserId];
      const [senderId, recipientId] = i % (2 * others.length) < others.length ? [one, other] : [other, one];
      return { target: toUser(senderId, recipientId), senderId };
    });
    const outcomes = await sendAll(store, drafts, round % 2 === 0);
    checkRepeats(drafts, outcomes);
    const rooms = await store.sql<{ id: RoomId; last_seq: number; members: number; inbox: number }[]>`
      select r.id, r.last_seq, (select count(*)::integer from memberships m where m.room_id = r.id) as members,
        (select min(u.inbox_seq) from users u where u.id in (r.direct_low, r.direct_high)) as inbox
      from rooms r where r.direct_low like ${`user-${round}-%`}`;
    strictEqual(rooms.length, others.length);
    for (const { id, last_seq, members, inbox } of rooms) {
      strictEqual(members, 2);
      await checkSequence(store.sql, id, 1, last_seq);
      strictEqual(inbox, last_seq); // the other's: one step a message
    }
    const [heard] = await store.sql<{ inbox: number; numbers: number }[]>`
      select u.inbox_seq as inbox, count(distinct case when r.direct_low = u.id then m.inbox_low else m.inbox_high end) as numbers
      from users u join rooms r on u.id in (r.direct_low, r.direct_high) join messages m on m.room_id = r.id
      where u.id = ${hub ?? ""} group by u.id`;
    deepStrictEqual({ ...heard }, { inbox: SENDS - REPEATS, numbers: SENDS - REPEATS });
  }
}

function withRepeats(
  sends: number,
  repeats: number,
  random: () => number,
  place: (i: number) => { target: Draft["target"]; senderId: UserId },
): Draft[] {
  const firsts = Array.from({ length: sends - repeats }, (_, i) => {
    const { target, senderId } = place(i);
    return draftOf(target, senderId, `m${i}`);
  });
  const again = Array.from({ length: repeats }, () => {
    const first = firsts[Math.floor(random() * firsts.length)] as Draft;
    return { ...first, id: newMessageId() };
  });
  const all = [...firsts, ...again];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j] as Draft, all[i] as Draft];
  }
  return all;
}

/** By turns to all nodes; all of a node's at once, or by clients that wait for each answer. */
async function sendAll(store: TestStore, drafts: Draft[], atOnce: boolean): Promise<Appended[]> {
  const outcomes: Appended[] = [];
  const nodes = store.nodes;
  const width = atOnce ? drafts.length : nodes.length * CLIENTS;
  await Promise.all(
    Array.from({ length: width }, async (_, client) => {
      for (let i = client; i < drafts.length; i += width) {
        const node = nodes[i % nodes.length];
        if (node !== undefined) outcomes[i] = await send(node, drafts[i] as Draft);
      }
    }),
  );
  return outcomes;
}

function checkRepeats(drafts: Draft[], outcomes: Appended[]): void {
  const firsts = new Map<string, { id: string; seq: number; stored: number }>();
  for (const [i, draft] of drafts.entries()) {
    const { isRepeat, seq } = stored(outcomes[i]);
    const id = idOf(outcomes[i]);
    const first = firsts.get(draft.clientMessageId) ?? { id, seq, stored: 0 };
    deepStrictEqual({ id, seq }, { id: first.id, seq: first.seq });
    if (!isRepeat) strictEqual(id, draft.id);
    firsts.set(draft.clientMessageId, { ...first, stored: first.stored + (isRepeat ? 0 : 1) });
  }
  strictEqual(firsts.size, SENDS - REPEATS);
  for (const [key, first] of firsts) strictEqual(first.stored, 1, `${key} was new ${first.stored} times`);
}

/** A send that waits for the room's lock is judged by what is committed when it has it. */
export async function judgedAfterTheLock(options: StoreOptions): Promise<void> {
  await using store = await TestStore.open(options);
  const [ada, ben, cid] = await store.users("ada", "ben", "cid") as [UserId, UserId, UserId];
  const roomId = await store.room([ada, ben]);
  strictEqual(stored(await send(store.node, draftOf(toUser(ada, ben), ada, "direct"))).seq, 1);
  const target = { roomId, actorId: ada, isAdmin: false, userId: ben };
  const ranks = { role: 3, mute: 2, ban: 2 };
  const member = (patch: object) => JSON.stringify({ ...target, patch, minRanks: ranks });
  const removal = JSON.stringify({ ...target, minRank: 2 });
  const steps: { does: string; params: string[]; then: string | null; to?: Draft["target"] }[] = [
    { does: "update_member_v1", params: [member({ isMuted: true })], then: "muted" },
    { does: "update_member_v1", params: [member({ isMuted: false })], then: null },
    { does: "remove_member_v1", params: [removal], then: "not_member" },
    { does: "add_member_v1", params: [adding({ ...target, limit: 9 })], then: null },
    { does: "update_member_v1", params: [member({ isBlocked: true })], then: "banned" },
    { does: "block_user_v1", params: [ada, ben, keyOf(ada, ben)], then: "blocked", to: toUser(ben, ada) },
    { does: "delete_room_v1", params: [JSON.stringify({ ...target, minRank: 4 })], then: "not_found" },
  ];
  for (const [i, { does, params, then, to }] of steps.entries()) {
    const before = await countMessages(store);
    let sent: Promise<Appended> | undefined;
    await store.sql.begin(async (tx) => {
      const marks = params.length === 1
        ? "$1::text::jsonb"
        : params.map((_, at) => `$${at + 1}::text`).join();
      const [row] = await tx.unsafe(`select ${does}(${marks})::text as answer`, params);
      strictEqual(JSON.parse(row?.["answer"]).code, null);
      sent = send(store.node, draftOf(to ?? toRoom(roomId), ben, `step ${i}`));
      await until(async () => await waitingAppends(store.sql) > 0, "the send to wait for the lock");
    });
    strictEqual((await sent)?.code, then, `after ${does} (step ${i})`);
    strictEqual(await countMessages(store), before + (then === null ? 1 : 0));
  }
  strictEqual((await send(store.node, draftOf(toRoom(roomId), cid, "c"))).code, "not_found");
}

const adding = (more: object): string =>
  JSON.stringify({ ...more, role: "MEMBER", minRank: 2, minRankOpen: 1 });

function keyOf(one: UserId, other: UserId): string {
  const target = toUser(one, other);
  return target.is === "direct" ? target.pair.key : "";
}

async function countMessages(store: TestStore): Promise<number> {
  const [row] = await store.sql<{ count: number }[]>`select count(*) as count from messages`;
  return row?.count ?? 0;
}

const BATCH = 50;

/** Repeats of one batch: one call, and all answered with what the first of them made. */
export async function repeatsInABatch(options: StoreOptions): Promise<void> {
  await using store = await TestStore.open(options);
  const [ada] = await store.users("ada") as [UserId];
  const roomId = await store.room([ada]);
  const calls = store.node.appender.calls;
  const drafts = Array.from(
    { length: BATCH },
    (_, i) => draftOf(toRoom(roomId), ada, `m${i % 10}`, { content: `try ${i}` }),
  );
  const outcomes = await Promise.all(drafts.map((draft) => send(store.node, draft).then(stored)));
  strictEqual(store.node.appender.calls - calls, 1);
  deepStrictEqual(outcomes.map((outcome) => outcome.isRepeat), drafts.map((_, i) => i >= 10));
  deepStrictEqual(outcomes.map(({ message }) => message), drafts.map((_, i) => outcomes[i % 10]?.message));
  await checkSequence(store.sql, roomId, 3, 10);
}

/** One of 50 that a rule refuses, in the middle of one call. */
export async function refusedItem(options: StoreOptions): Promise<void> {
  await using store = await TestStore.open(options);
  const [ada, ben] = await store.users("ada", "ben") as [UserId, UserId];
  const roomId = await store.room([ada, ben]);
  const mute = { roomId, actorId: ada, isAdmin: false, userId: ben, patch: { isMuted: true } };
  const answer = await store.write("update_member_v1", { ...mute, minRanks: { role: 3, mute: 2, ban: 2 } });
  strictEqual(answer.code, null);
  const bad = [
    { draft: draftOf(toRoom(roomId), ben, "bad"), code: "muted" },
    { draft: draftOf(toRoom(roomId), ada, "reply", { replyToId: newMessageId() }), code: "reply_not_found" },
    { draft: draftOf(toRoom(roomId), "nobody" as UserId, "stranger"), code: "not_member" },
    { draft: draftOf(toRoom(newMessageId() as string as RoomId), ada, "nowhere"), code: "not_found" },
  ];
  const first = 5; // after the room, its two members and the mute
  for (const [round, { draft, code }] of bad.entries()) {
    const calls = store.node.appender.calls;
    const outcomes = await Promise.all(batchAround(draft, roomId, ada).map((each) => send(store.node, each)));
    deepStrictEqual(outcomes.filter((outcome) => outcome.code !== null), [{ code }]);
    await checkSequence(store.sql, roomId, first, (round + 1) * (BATCH - 1));
    const one = draft.target.is === "room" && draft.target.roomId === roomId;
    ok(store.node.appender.calls - calls <= (one ? 1 : 2), `${store.node.appender.calls - calls} calls`);
  }
}

/** One of 50 that no door would let through, so that the call itself fails. */
export async function faultyItem(options: StoreOptions): Promise<void> {
  await using store = await TestStore.open({ ...options, lanes: 1 });
  const [ada] = await store.users("ada") as [UserId];
  const [roomId, otherRoom] = [await store.room([ada]), await store.room([ada])];
  const faulty: Draft[] = [
    draftOf(toRoom(roomId), ada, "nul", { content: "a\0b" }),
    draftOf(toRoom(roomId), ada, "lone surrogate", { content: "a\ud800b" }),
    { ...draftOf(toRoom(roomId), ada, "no uuid"), id: "no uuid" as Draft["id"] },
    draftOf(toRoom("no uuid" as RoomId), ada, "no room"),
    { ...draftOf(toRoom(roomId), ada, "no type"), type: null as unknown as string },
  ];
  for (const [round, draft] of faulty.entries()) {
    const drafts = batchAround(draft, roomId, ada);
    const beside = draftOf(toRoom(otherRoom), ada, `beside ${round}`);
    const [aside, ...outcomes] = await Promise.allSettled(
      [beside, ...drafts].map((each) => send(store.node, each)),
    );
    strictEqual(aside?.status, "fulfilled");
    const failed = outcomes.flatMap((outcome, i) => outcome.status === "rejected" ? [drafts[i]] : []);
    deepStrictEqual(failed, [draft]);
    const seqs = outcomes.flatMap((outcome) =>
      outcome.status === "fulfilled" ? [stored(outcome.value).seq] : []
    );
    const first = 3 + round * (BATCH - 1);
    deepStrictEqual(seqs, Array.from({ length: BATCH - 1 }, (_, i) => first + i)); // and in the order sent
    await checkSequence(store.sql, roomId, 3, (round + 1) * (BATCH - 1));
  }
}

function batchAround(bad: Draft, roomId: RoomId, sender: UserId): Draft[] {
  const good = Array.from({ length: BATCH - 1 }, () => draftOf(toRoom(roomId), sender, crypto.randomUUID()));
  return good.toSpliced(BATCH / 2, 0, bad);
}
