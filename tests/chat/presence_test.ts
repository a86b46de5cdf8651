/** Presence, over two nodes: what a user's devices come to, who hears of it and once, and what is kept from whom. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import type { DoorClient, Ear, Json } from "../helpers/doors.ts";
import { LOSES_ALL, TwoNodes } from "../helpers/two_nodes.ts";
import { makeRoom } from "../suites/door_suite.ts";

/** What a device has heard of a user, in order. */
const heard = (ear: Ear, userId = "ada"): string[] =>
  ear.events("status_updated").filter((each) => each.userId === userId)
    .map(({ status, customStatus }) => customStatus === null ? status : `${status}: ${customStatus.text}`);

const untilHeard = (ears: readonly Ear[], count: number, userId = "ada"): Promise<unknown> =>
  Promise.all(
    ears.map((ear) => ear.socket.until(() => heard(ear, userId).length >= count, `${count} of ${userId}`)),
  );

const statusOf = async (asker: DoorClient, userId = "ada"): Promise<Json> =>
  (await asker.call("user_status", { userId })).status;

const countOf = async (asker: DoorClient): Promise<number> => (await asker.call("online_count")).count;

/** Two nodes, a watcher on each, and on each a bell: a node tells in order, so what comes after it has told all before. */
class Scene implements AsyncDisposable {
  readonly nodes: TwoNodes;
  readonly watchers: readonly [Ear, Ear];
  readonly #bells: readonly [Ear, Ear];
  #rings = 0;

  private constructor(nodes: TwoNodes, watchers: [Ear, Ear], bells: [Ear, Ear]) {
    this.nodes = nodes;
    this.watchers = watchers;
    this.#bells = bells;
  }

  static async start(env: Record<string, string> = {}): Promise<Scene> {
    const nodes = await TwoNodes.start(env);
    const watchers: [Ear, Ear] = [await nodes.ear(0, "wim"), await nodes.ear(1, "wim")];
    const bells: [Ear, Ear] = [await nodes.ear(0, "bell0"), await nodes.ear(1, "bell1")];
    for (const watcher of watchers) {
      await watcher.call("watch_presence", { userIds: ["ada", "bell0", "bell1"] });
    }
    return new Scene(nodes, watchers, bells);
  }

  /** What the nodes had to tell has been heard. */
  async told(): Promise<void> {
    const text = `${++this.#rings}`;
    for (const bell of this.#bells) {
      await bell.call("update_status", { customStatus: { text } });
      for (const watcher of this.watchers) {
        await watcher.next(
          "status_updated",
          (each) => each.userId === bell.userId && each.customStatus?.text === text,
        );
      }
    }
  }

  async expectHeard(expected: string[], ears: readonly Ear[] = this.watchers): Promise<void> {
    await untilHeard(ears, expected.length);
    await this.told();
    for (const ear of ears) {
      await ear.settled();
      deepStrictEqual(heard(ear), expected, ear.userId);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.nodes[Symbol.asyncDispose]();
  }
}

Deno.test("presence: online while any device on any node is active, away once none has asked for a while", async () => {
  await using scene = await Scene.start({ CHAT_ONLINE_STATUS_TIMEOUT: "1000" });
  const { nodes, watchers } = scene;
  const devices = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada"), await nodes.ear(1, "ada")] as const;
  for (let i = 0; i < 12; i++) { // one of them goes on for longer than the timeout
    await devices[0].call("list_rooms");
    await sleep(200);
  }
  await scene.expectHeard(["online"]);
  await untilHeard(watchers, 2);
  await devices[1].call("sync", {}); // what clients ask by themselves shows nobody
  await devices[1].call("watch_presence", { userIds: ["wim"] });
  await scene.expectHeard(["online", "away"]);
  strictEqual((await statusOf(watchers[0])).status, "away");
  strictEqual((await statusOf(watchers[0])).isOnline, true);
  await devices[2].call("list_rooms");
  await untilHeard(watchers, 3);
  deepStrictEqual(heard(watchers[1]).slice(0, 3), ["online", "away", "online"]);
  await devices[2].socket.close(); // the active one goes, the idle ones stay
  await untilHeard(watchers, 4);
  deepStrictEqual(heard(watchers[0]).slice(0, 4), ["online", "away", "online", "away"]);
});

Deno.test("presence: offline a while after the last device went, wherever it was; coming back before is no news", async () => {
  await using scene = await Scene.start({ CHAT_PRESENCE_GRACE: "1500" });
  const { nodes, watchers } = scene;
  const before = await countOf(watchers[0]);
  const first = await nodes.ear(0, "ada");
  await scene.expectHeard(["online"]);
  strictEqual(await countOf(watchers[1]), before + 1);
  for (const n of [0, 1]) {
    await first.socket.close();
    const next = await nodes.ear(n, "ada");
    await scene.expectHeard(["online"]);
    await next.socket.close();
    await nodes.ear(n, "ada").then((ear) => ear.socket.close());
  }
  const wentAt = Date.now();
  await scene.expectHeard(["online", "offline"]);
  ok(Date.now() - wentAt >= 1_200, "the grace");
  const [status] = watchers[0].events("status_updated").filter(({ status }) => status === "offline");
  deepStrictEqual([status.isOnline, status.customStatus], [false, null]);
  ok(Date.parse(status.lastSeenAt) >= wentAt - 1_000 && Date.parse(status.lastSeenAt) <= Date.now() + 1_000);
  deepStrictEqual(await statusOf(watchers[1]), status);
  strictEqual(await countOf(watchers[1]), before);
});

Deno.test("presence: busy on all devices and to all, by whatever device or REST, each told once", async () => {
  await using scene = await Scene.start({ CHAT_ONLINE_STATUS_TIMEOUT: "1000" });
  const { nodes, watchers } = scene;
  const devices = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada")];
  await scene.expectHeard(["online"]);
  const rest = await nodes.rest(1, "ada");
  const customStatus = { text: "in a lecture", emoji: "🎓", expiresAt: null };
  const { status } = await rest.call("update_status", { status: "busy", customStatus });
  deepStrictEqual([status.status, status.isOnline, status.customStatus], ["busy", true, customStatus]);
  await scene.expectHeard(["online", "busy: in a lecture"]);
  deepStrictEqual(await statusOf(watchers[0]), status);
  for (const device of devices) {
    await device.settled();
    deepStrictEqual(heard(device).filter((each) => each !== "online"), ["busy: in a lecture"]);
  }
  await sleep(1_500); // idle by now: busy all the same
  await devices[0]?.call("update_status", { customStatus: null });
  await scene.expectHeard(["online", "busy: in a lecture", "busy"]);
  await devices[1]?.call("update_status", { status: "online" });
  await scene.told();
  strictEqual(heard(watchers[0])[3], "online");
});

Deno.test("presence: who is invisible is offline to all others, everywhere", async () => {
  await using scene = await Scene.start();
  const { nodes, watchers } = scene;
  const before = await countOf(watchers[0]);
  const devices = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada")] as const;
  const room = await makeRoom(devices[0], ["wim"]);
  for (const ear of [...watchers, ...devices]) await ear.call("join_room", { roomId: room });
  await scene.expectHeard(["online"]);
  const { status } = await devices[0].call("update_status", {
    status: "invisible",
    customStatus: { text: "hidden" },
  });
  deepStrictEqual([status.status, status.isOnline, status.customStatus.text], ["invisible", false, "hidden"]);
  await scene.expectHeard(["online", "offline"]);
  for (const device of devices) {
    await device.next("status_updated", (each) => each.userId === "ada" && each.status === "invisible");
  }
  const seen = await statusOf(watchers[1]);
  const shape = ({ status, isOnline, customStatus }: Json) => [status, isOnline, customStatus];
  deepStrictEqual(shape(seen), ["offline", false, null]);
  const watched = await watchers[0].call("watch_presence", { userIds: ["ada", "bell0", "bell1"] });
  deepStrictEqual(watched.statuses[0], seen);
  strictEqual(await countOf(watchers[0]), before);
  // they come, change, act and go, and nothing moves
  await devices[1].call("update_status", { customStatus: { text: "still hidden" } });
  for (const device of devices) await device.socket.close();
  const third = await nodes.ear(1, "ada");
  await third.call("list_rooms");
  await third.socket.close();
  await scene.expectHeard(["online", "offline"]);
  await sleep(300); // past the grace
  await scene.expectHeard(["online", "offline"]);
  deepStrictEqual(await statusOf(watchers[0]), seen);
  const fourth = await nodes.ear(0, "ada");
  strictEqual((await statusOf(fourth)).status, "invisible");
  await fourth.call("update_status", { status: "online" });
  await scene.expectHeard(["online", "offline", "online: still hidden"]);
  strictEqual(await countOf(watchers[0]), before + 1);
});

Deno.test("presence: a choice of which the other node never hears counts there all the same", async () => {
  await using scene = await Scene.start();
  const { nodes, watchers } = scene;
  const device = await nodes.ear(1, "ada");
  await scene.expectHeard(["online"]);
  nodes.setFaults(1, LOSES_ALL);
  await (await nodes.rest(0, "ada")).call("update_status", { status: "invisible" });
  nodes.setFaults(1, undefined);
  for (const watcher of watchers) strictEqual((await statusOf(watcher)).status, "offline");
  strictEqual((await statusOf(device)).status, "invisible");
  await device.socket.close();
  await untilHeard(watchers, 2);
  await (await nodes.rest(0, "ada")).call("update_status", { status: "busy" });
  await nodes.ear(1, "ada");
  await scene.expectHeard(["online", "offline", "busy"]);
});

Deno.test("presence: a custom status ends by itself, and each is told once of it", async () => {
  await using scene = await Scene.start();
  const { nodes, watchers } = scene;
  const devices = [await nodes.ear(0, "ada"), await nodes.ear(1, "ada")] as const;
  await scene.expectHeard(["online"]);
  const expiresAt = new Date(Date.now() + 2_000).toISOString();
  await devices[0].call("update_status", { customStatus: { text: "lunch", expiresAt } });
  await untilHeard(watchers, 2);
  deepStrictEqual((await statusOf(watchers[0])).customStatus, { text: "lunch", emoji: null, expiresAt });
  await untilHeard(watchers, 3);
  ok(Date.now() >= Date.parse(expiresAt) - 50);
  await scene.expectHeard(["online", "online: lunch", "online"]);
  for (const device of devices) {
    await device.settled();
    deepStrictEqual(heard(device).slice(-2), ["online: lunch", "online"]);
    strictEqual(heard(device).filter((each) => each === "online: lunch").length, 1);
  }
  strictEqual((await statusOf(watchers[1])).customStatus, null);
});

Deno.test("presence: whom one has blocked sees one offline, and hears of it when blocked and unblocked", async () => {
  await using scene = await Scene.start();
  const { nodes } = scene;
  const ada = await nodes.ear(0, "ada");
  const eves = [await nodes.ear(0, "eve"), await nodes.ear(1, "eve")];
  const roomId = await makeRoom(ada, ["eve"]);
  await eves[0]?.call("join_room", { roomId });
  await eves[1]?.call("watch_presence", { userIds: ["ada"] });
  await ada.call("update_status", { status: "busy" });
  await scene.expectHeard(["online", "busy"]);
  await untilHeard(eves, 1);
  await ada.call("block_user", { userId: "eve" });
  await untilHeard(eves, 2);
  for (const eve of eves) {
    const { status, isOnline, lastSeenAt } = await statusOf(eve);
    deepStrictEqual([status, isOnline, lastSeenAt], ["offline", false, null]);
    const { statuses } = await eve.call("watch_presence", { userIds: ["ada"] });
    strictEqual(statuses[0].status, "offline");
  }
  await ada.call("update_status", { status: "away" });
  await scene.expectHeard(["online", "busy", "away"]);
  await ada.call("unblock_user", { userId: "eve" });
  await untilHeard(eves, 3);
  await scene.expectHeard(["online", "busy", "away"]); // nobody else is concerned
  for (const eve of eves) {
    deepStrictEqual(heard(eve).slice(-3), ["busy", "offline", "away"]);
    strictEqual((await statusOf(eve)).status, "away");
  }
});

Deno.test("presence: of a room's members up to 100, of more only whom one watches, once however many rooms are shared", async () => {
  await using scene = await Scene.start();
  const { nodes } = scene;
  const owner = await nodes.ear(0, "owner");
  const bobs = [await nodes.ear(0, "bob"), await nodes.ear(1, "bob")] as const;
  const eve = await nodes.ear(1, "eve");
  const small = [await makeRoom(owner, ["bob", "eve"]), await makeRoom(owner, ["bob", "eve"])];
  const large = await makeRoom(owner, ["bob", "eve"]);
  const ada = await nodes.rest(0, "ada");
  for (const roomId of [...small, large]) await ada.call("join_room", { roomId });
  const sql = postgres(nodes.database.url, { max: 1 });
  await sql`update rooms set member_count = 101 where id = ${large}`;
  for (const roomId of [...small, large]) await bobs[0].call("join_room", { roomId });
  await bobs[0].call("watch_presence", { userIds: ["ada", "nobody", "bob"] });
  await bobs[1].call("join_room", { roomId: large });
  await eve.call("join_room", { roomId: large });
  await bobs[1].call("watch_presence", { userIds: ["ada"] });
  await nodes.ear(1, "ada");
  await scene.expectHeard(["online"], bobs);
  deepStrictEqual(heard(eve), []);
  await sql`update rooms set member_count = 100 where id = ${large}`;
  await sql.end();
  await bobs[0].call("watch_presence", { userIds: [] });
  await bobs[1].call("watch_presence", { userIds: ["owner"] }); // in place of Ada
  await bobs[1].call("leave_room", { roomId: large });
  await ada.call("update_status", { status: "busy" });
  await untilHeard([eve, bobs[0]], 1);
  await scene.expectHeard(["busy"], [eve]);
  await scene.expectHeard(["online", "busy"], [bobs[0]]);
  deepStrictEqual(heard(bobs[1]), ["online"]);
});

Deno.test("presence: a node that goes takes its users with it, except those who are on another one", async () => {
  await using scene = await Scene.start();
  const { nodes, watchers } = scene;
  await watchers[1].call("watch_presence", { userIds: ["ada", "bob", "cyd"] });
  for (const [n, user] of [[0, "ada"], [0, "bob"], [1, "bob"], [0, "cyd"]] as const) await nodes.ear(n, user);
  for (const user of ["ada", "bob", "cyd"]) await untilHeard([watchers[1]], 1, user);
  await (await nodes.rest(1, "cyd")).call("update_status", { status: "invisible" });
  await untilHeard([watchers[1]], 2, "cyd");
  await nodes.end(0);
  await untilHeard([watchers[1]], 2);
  deepStrictEqual(["ada", "bob", "cyd"].map((user) => heard(watchers[1], user)), [
    ["online", "offline"],
    ["online"],
    ["online", "offline"], // unseen before already
  ]);
});
