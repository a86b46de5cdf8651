/**
 * A node far from the primary: what it asks from afar, counted; what it answers while its replica is not as good as the
 * primary; and what it says when its region is cut off.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { until } from "../faults/until.ts";
import { RestClient } from "../helpers/rest_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { Refused } from "../helpers/test_socket.ts";
import { FAR, HOME } from "./servers.ts";
import { contentsOf, TwoRegions } from "./two_nodes.ts";

/** What the node asks by itself comes in between: not in each of these. */
const TURNS = 5;
const HEARD_MS = 15_000;
/** Of a replica that does not answer, which only the first of them may wait for. */
const READS = 8;
const MS_A_READ_WITHOUT = 550;

async function fewest(regions: TwoRegions, work: () => Promise<unknown>): Promise<number> {
  let fewest = Infinity;
  const { primary } = regions.servers.links;
  for (let turn = 0; turn < TURNS; turn++) {
    const before = primary.asked;
    await work();
    fewest = Math.min(fewest, primary.asked - before);
  }
  return fewest;
}

Deno.test("two regions: a write asks the primary once, a read none, and no answer is older than what its reader knows", async (t) => {
  await using regions = await TwoRegions.start({ DATABASE_TIMEOUT: "1500" });
  const { home, far, servers } = regions;
  const standby = postgres(servers.standby.url, { max: 1, fetch_types: false });
  await using _ = { [Symbol.asyncDispose]: () => standby.end({ timeout: 1 }) };
  const [ada, bob] = [await far.connect("ada"), await home.connect("bob")];
  const [adaRest, bobRest] = [await far.rest("ada"), await home.rest("bob")];
  const { room } = await ada.call("create_room", { name: "Lab", type: "PUBLIC" });
  await bob.call("join_room", { roomId: room.id });
  await ada.call("join_room", { roomId: room.id });
  const page = `/rooms/${room.id}/messages?limit=100`;
  const listed = () => contentsOf(adaRest, page);
  const send = (content: string) => ada.call("send_message", { roomId: room.id, content });

  await t.step("answers and greetings say the region", async () => {
    strictEqual((await adaRest.get(page)).headers.get("x-region"), FAR);
    strictEqual((await bobRest.get(`/rooms/none/messages`)).headers.get("x-region"), HOME);
    deepStrictEqual([ada, bob].map(({ pushes }) => pushes[0]?.data.region), [FAR, HOME]);
  });

  await t.step("each write is one round trip, the first of its kind too", async () => {
    const { message } = await send("first");
    const { asked } = await regions.asked(() =>
      Promise.all([ // at once: over all connections that there are
        adaRest.post(`/messages/${message.id}/read`),
        adaRest.put(`/messages/${message.id}`, { content: "first, edited" }),
        adaRest.patch(`/rooms/${room.id}`, { description: "Of two regions" }),
        adaRest.post("/direct-messages", { recipientId: "bob", content: "hello" }),
        adaRest.post("/messages", { roomId: room.id, content: "by REST" }),
      ])
    );
    ok(asked <= 5, `${asked} asks for five writes`);
    let id = 0;
    strictEqual(await fewest(regions, () => send(`${id++}`)), 1);
    strictEqual(
      await fewest(regions, () => adaRest.post("/messages", { roomId: room.id, content: `${id++}` })),
      1,
    );
    strictEqual(await fewest(regions, () => ada.call("mark_as_read", { messageId: message.id })), 1);
  });

  const cid = await far.connect("cid"); // who has marked nothing
  const cidRest = await far.rest("cid");
  const pageOf = (roomId: string) => `/rooms/${roomId}/messages?limit=100`;
  const near = (what: string, read: () => Promise<unknown>): Promise<void> =>
    until(async () => await fewest(regions, read) === 0, HEARD_MS, `${what} to be read near`);

  await t.step("pages and members are read near", async () => {
    await cid.call("join_room", { roomId: room.id });
    const reads = {
      page: () => cidRest.get(page),
      members: () => cidRest.get(`/rooms/${room.id}/members`),
      conversation: () => adaRest.get("/direct-messages/bob"),
    };
    for (const [what, read] of Object.entries(reads)) await near(what, read);
    strictEqual((await cidRest.get(page)).body.messages[0].content, "first, edited");
  });

  await t.step("what is not there yet is asked of the primary", async () => {
    const known = (await cidRest.get(page)).body.position.seq;
    strictEqual(await fewest(regions, () => cidRest.get(`${page}&minSeq=${known}`)), 0);
    ok(await fewest(regions, () => cidRest.get(`${page}&minSeq=${known + 1_000}`)) >= 1);
    const dan = await far.rest("dan");
    strictEqual((await dan.get(page)).status, 403);
    strictEqual((await dan.post(`/rooms/${room.id}/join`)).status, 200);
    strictEqual((await dan.get(page)).status, 200);
  });

  await t.step(
    "a replica that stands still: what its reader knows is in every answer, all the rest soon",
    async () => {
      const { room: unheard } = await bob.call("create_room", { name: "Unheard", type: "PUBLIC" });
      for (const name of ["cid", "dan"]) await bob.call("add_member", { roomId: unheard.id, userId: name });
      const { message: first } = await bob.call("send_message", { roomId: unheard.id, content: "first" });
      await bob.call("send_direct_message", { recipientId: "cid", content: "hello" });
      await near("the page", () => cidRest.get(pageOf(unheard.id)));
      await near("the conversation", () => cidRest.get("/direct-messages/bob"));
      await standby`select pg_wal_replay_pause()`;
      const list = () => contentsOf(cidRest, page);
      for (const content of ["own 1", "own 2"]) {
        await cid.call("send_message", { roomId: room.id, content });
        ok((await list()).includes(content), content);
      }
      await bob.call("send_message", { roomId: room.id, content: "from home" });
      await cid.next("message_received", ({ message }) => message.content === "from home");
      ok((await list()).includes("from home"), "heard of");
      await bob.call("send_direct_message", { recipientId: "cid", content: "to you" });
      await cid.next("direct_message_received", ({ message }) => message.content === "to you");
      deepStrictEqual(await contentsOf(cidRest, "/direct-messages/bob"), ["hello", "to you"]);
      const { message: named } = await bob.call("send_message", { roomId: unheard.id, content: "named" });
      deepStrictEqual(await contentsOf(cidRest, `${pageOf(unheard.id)}&minSeq=${named.seq}`), [
        "first",
        "named",
      ]);
      const dan = await far.rest("dan");
      strictEqual((await dan.post(`/messages/${first.id}/read`)).status, 200);
      const { members } = (await dan.get(`/rooms/${unheard.id}/members`)).body;
      strictEqual(members.find(({ userId }: { userId: string }) => userId === "dan").lastReadSeq, first.seq);

      await regions.untilFit(false);
      await bob.call("send_message", { roomId: unheard.id, content: "last" });
      deepStrictEqual(await contentsOf(cidRest, pageOf(unheard.id)), ["first", "named", "last"]);
      await bob.call("remove_member", { roomId: unheard.id, userId: "cid" });
      strictEqual((await cidRest.get(pageOf(unheard.id))).status, 403);
      await standby`select pg_wal_replay_resume()`;
      await regions.untilFit(true);
    },
  );

  await t.step("a replica that is gone: right answers at once, near ones when it is back", async () => {
    await servers.standby.pause();
    const began = performance.now();
    for (let turn = 0; turn < READS; turn++) await cidRest.get(page);
    const tookMs = performance.now() - began;
    ok(tookMs < READS * MS_A_READ_WITHOUT, `${READS} reads took ${Math.round(tookMs)} ms`);
    await servers.standby.resume();
    await standby.end({ timeout: 1 });
    await servers.standby.killAll();
    for (const content of ["without 1", "without 2", "without 3"]) {
      await send(content);
      ok((await listed()).includes(content), content);
    }
    await regions.untilFit(false);
    await servers.standby.launch();
    await regions.untilFit(true);
    await near("the page", () => cidRest.get(page));
  });

  await t.step(
    "the region cut off: sends are refused and can be tried again, then each is there once, on both sides",
    async () => {
      const eve = await signToken("eve");
      const { body } = await new RestClient(home.url, eve).post(`/rooms/${room.id}/join`);
      await near("her joining", () => cidRest.get(`${page}&minSeq=${body.position.seq}`));
      servers.cut("cut");
      // this node has never seen her, and the primary is not asked who she is
      strictEqual((await new RestClient(far.url, eve).get(page)).status, 200);
      const sent = ["cut 1", "cut 2", "cut 3"].map((content) => ({
        roomId: room.id,
        content,
        clientMessageId: content,
      }));
      const refusals = sent.map((message) =>
        ada.call("send_message", message).then(() => undefined, (fault) => fault)
      );
      for (const refused of await Promise.all(refusals)) {
        ok(
          refused instanceof Refused && refused.code === "unavailable" && refused.body.retryable,
          String(refused),
        );
      }
      strictEqual((await adaRest.get("//readyz")).status, 503);
      await regions.untilFit(false);
      strictEqual((await adaRest.get(page)).status, 503); // as good as the primary: nobody knows
      strictEqual((await bobRest.post("/messages", { roomId: room.id, content: "meanwhile" })).status, 201);
      servers.cut("pass");
      for (const message of sent) {
        await until(
          () => ada.call("send_message", message).then(() => true, () => false),
          HEARD_MS,
          message.content,
        );
      }
      const atHome = await contentsOf(bobRest, page);
      deepStrictEqual(atHome.filter((content) => content.startsWith("cut")), ["cut 1", "cut 2", "cut 3"]);
      // a connection that was cut may have a read of its own to give up first
      await until(() => listed().then(() => true, () => false), HEARD_MS, "the page to be read again");
      deepStrictEqual(await listed(), atHome);
      await ada.next("message_received", ({ message }) => message.content === "meanwhile");
    },
  );
});
