import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import type { UserId } from "../../src/protocol/ids.ts";
import { findRoom } from "../../src/store/rooms.ts";
import { serverUrl } from "../helpers/databases.ts";
import {
  checkSequence,
  draftOf,
  send,
  stored,
  type StoreNode,
  TestStore,
  toRoom,
  toUser,
  until,
} from "./fixture.ts";
import { TcpProxy } from "./tcp_proxy.ts";

Deno.test("Appender: a send whose answer is lost is stored once, and still counts as new, for nobody was told", async () => {
  await using proxy = TcpProxy.to(serverUrl());
  await using store = await TestStore.open({ through: (url) => proxy.through(url), lanes: 1 });
  const [ada, ben] = await store.users("ada", "ben") as [UserId, UserId];
  const roomId = await store.room([ada]);
  await store.node.appender.warm();
  for (const [target, seq] of [[toRoom(roomId), 3], [toUser(ada, ben), 1]] as const) {
    const calls = store.node.appender.calls;
    await send(store.node, draftOf(target, ada, "first")); // its room is made, its statement known
    const cut = proxy.cutNextAnswer();
    const draft = draftOf(target, ada, "m");
    const outcome = stored(await send(store.node, draft));
    await cut;
    ok(store.node.appender.calls - calls >= 3, "there was no second try: this proves nothing");
    deepStrictEqual([outcome.isRepeat, outcome.seq], [false, seq + 1]);
    strictEqual(outcome.direct?.inboxLow, outcome.direct && seq + 2); // the public room came first
    const again = stored(await send(store.node, { ...draft, id: draftOf(target, ada, "").id }));
    deepStrictEqual([again.isRepeat, again.seq, again.message], [true, seq + 1, outcome.message]);
    await checkSequence(store.sql, outcome.roomId, seq, 2);
  }
});

Deno.test("Database: a link that falls silent is replaced after the deadline", async () => {
  await using proxy = TcpProxy.to(serverUrl());
  await using store = await TestStore.open({
    through: (url) => proxy.through(url),
    lanes: 2,
    timeoutMs: 1_000,
  });
  const [ada] = await store.users("ada") as [UserId];
  const roomId = await store.room([ada]);
  await store.node.appender.warm();
  const read = () => findRoom(store.node.db, roomId, ada);
  strictEqual((await read())?.lastSeq, 2);
  const draft = draftOf(toRoom(roomId), ada, "m");
  proxy.swallow();
  await rejects(read(), { code: "unavailable" });
  const sent = send(store.node, draft);
  await rejects(store.node.db.deadline(sent, 1_000), { code: "unavailable" });
  const answers = () => read().then((room) => room?.lastSeq === 2, () => false);
  await until(answers, "the link to come back", 5_000);
  const again = { ...draft, id: draftOf(draft.target, ada, "").id };
  strictEqual(stored(await store.node.db.deadline(send(store.node, again), 5_000)).seq, 3);
  await checkSequence(store.sql, roomId, 3, 1);
});

const CLIENTS = 20;
const EACH = 40;

Deno.test("Appender: connections that are killed under load lose no send and double none", async () => {
  await using store = await TestStore.open({ nodes: 2, lanes: 2 });
  const users = await store.users("ada", "ben", "cid", "dot");
  const rooms = [await store.room(users), await store.room(users), await store.room(users)];
  let failures = 0;
  const talk = async (client: number) => {
    const userId = users[client % users.length] as UserId;
    const roomId = rooms[client % rooms.length] as typeof rooms[0];
    const node = store.nodes[client % store.nodes.length] as StoreNode;
    const seqs: number[] = [];
    for (let i = 0; i < EACH; i++) {
      for (let tries = 1;; tries++) { // as a client does: the same clientMessageId until there is an answer
        ok(tries < 20, "a send never succeeds");
        const draft = draftOf(toRoom(roomId as typeof rooms[0]), userId, `${client}-${i}`);
        const outcome = await send(node, draft).catch(() => void failures++);
        if (outcome === undefined) continue;
        seqs.push(stored(outcome).seq);
        break;
      }
    }
    deepStrictEqual(seqs, seqs.toSorted((a, b) => a - b));
  };
  const calls = () => store.nodes.reduce((sum, node) => sum + node.appender.calls, 0);
  let talking = true;
  const talks = Promise.all(Array.from({ length: CLIENTS }, (_, client) => talk(client))).finally(() =>
    talking = false
  );
  talks.catch(() => {}); // told below
  let killed = 0;
  while (talking) {
    const before = calls();
    const rows = await store.sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'scroll-chat' and query like '%append_messages%'
      order by random() limit 1`;
    killed += rows.length;
    await until(() => !talking || calls() > before + 5, "the load to go on");
  }
  await talks;
  ok(killed >= 5, `only ${killed} connections were killed`);
  strictEqual(failures, 0); // the appender's own tries were enough
  for (const [i, roomId] of rooms.entries()) {
    const clients = Array.from({ length: CLIENTS }, (_, client) => client).filter((c) =>
      c % rooms.length === i
    );
    await checkSequence(store.sql, roomId, 2 + users.length, clients.length * EACH);
  }
});
