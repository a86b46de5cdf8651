/**
 * Repairs on a real database: a node that has heard nothing of a room for a while reads what it missed, in the state
 * that it is in by now, and tells it to those who may know. The sweep comes when called.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { FaultyPair } from "../helpers/faulty_bus.ts";
import type { RestClient } from "../helpers/rest_client.ts";
import type { TestSocket } from "../helpers/test_socket.ts";

const MUTE = { drop: 1, double: 0, late: 0, lateMs: 0 };
const SECRET = "not for grace";

/** Bob and Grace hear Ada's room on a node that is deaf to the one where everything happens. */
class Deaf implements AsyncDisposable {
  readonly #pair: FaultyPair;

  private constructor(
    pair: FaultyPair,
    readonly ada: RestClient,
    readonly roomId: string,
    readonly bob: TestSocket,
    readonly grace: TestSocket,
  ) {
    this.#pair = pair;
  }

  static async start(): Promise<Deaf> {
    const pair = await FaultyPair.start({ CHAT_SWEEP_INTERVAL: "600000", CHAT_GAP_HOLD: "10000" });
    const ada = await pair.node(0).rest("ada");
    const roomId = (await ada.post("/rooms", { name: "Room" })).body.room.id;
    const [bob, grace] = [await pair.node(1).connect("bob"), await pair.node(1).connect("grace")];
    for (const socket of [bob, grace]) await socket.call("join_room", { roomId });
    const deaf = new Deaf(pair, ada, roomId, bob, grace);
    await deaf.say("before");
    for (const socket of [bob, grace]) {
      await socket.next("message_received");
      socket.pushes.length = 0;
    }
    pair.setFaults(MUTE);
    return deaf;
  }

  async say(content: string): Promise<string> {
    return (await this.ada.post("/messages", { roomId: this.roomId, content })).body.message.id;
  }

  add = () => this.ada.post(`/rooms/${this.roomId}/members`, { userId: "grace" });
  remove = () => this.ada.delete(`/rooms/${this.roomId}/members/grace`);
  ban = (isBlocked: boolean) => this.ada.patch(`/rooms/${this.roomId}/members/grace`, { isBlocked });

  /** Until Bob, who was there all the time, has heard all there is. */
  async repair(): Promise<void> {
    const [{ seq }] = await this.#pair.sql`select last_seq as seq from rooms where id = ${this.roomId}` as [
      { seq: number },
    ];
    await this.#pair.node(1).app.hub.sweep([`room:${this.roomId}`]);
    await this.bob.until(() => this.bob.pushes.at(-1)?.data.seq === seq, "all there is");
    await this.grace.call("list_blocked"); // whatever was pushed to her is before the answer
    const intervals = this.bob.pushes.map(({ data }) => [data.after, data.seq]);
    intervals.forEach(([after], i) => i > 0 && strictEqual(after, intervals[i - 1]?.[1])); // no hole for one who stayed
  }

  /** What the room told the socket, in short. */
  toldTo(socket: TestSocket): string[] {
    return socket.pushes.filter(({ data }) => data.seq !== undefined).map(({ event, data }) =>
      `${event} ${data.message?.content ?? data.member?.leftReason ?? data.member?.role ?? ""}`.trim()
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pair[Symbol.asyncDispose]();
  }
}

Deno.test("repair: rows that changed more than once are told as they are, and as news to those who did not know them", async () => {
  await using deaf = await Deaf.start();
  const { ada, roomId } = deaf;
  const [kept, edited, deleted] = [await deaf.say("kept"), await deaf.say("first"), await deaf.say("gone")];
  await ada.put(`/messages/${edited}`, { content: "second" });
  await ada.patch(`/rooms/${roomId}`, { name: "Renamed" });
  await ada.delete(`/messages/${deleted}`);
  await deaf.repair();
  deepStrictEqual(deaf.toldTo(deaf.bob), [
    "message_received kept",
    "message_received second",
    "room_updated",
    "message_received",
  ]);
  strictEqual(deaf.bob.pushes.at(-1)?.data.message.isDeleted, true);
  deepStrictEqual(deaf.bob.pushes, deaf.grace.pushes);

  deaf.bob.pushes.length = 0;
  await ada.put(`/messages/${kept}`, { content: "changed" });
  await ada.delete(`/messages/${edited}`);
  await deaf.repair();
  deepStrictEqual(deaf.toldTo(deaf.bob), ["message_updated changed", "message_deleted"]);
});

Deno.test("repair: a hole of more rows than one read holds is told whole, news as news", async () => {
  await using deaf = await Deaf.start();
  const first = await deaf.say("0");
  for (let i = 1; i < 1_100; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, k) => deaf.say(String(i + k))));
  }
  await deaf.ada.put(`/messages/${first}`, { content: "edited last" });
  await deaf.repair();
  const told = deaf.toldTo(deaf.bob);
  strictEqual(told.length, 1_101);
  strictEqual(told.at(-1), "message_received edited last");
  strictEqual(new Set(told).size, told.length);
});

/** How Grace was out while something was said that is not for her; and what she is told of it in the end. */
const STORIES: [string, (deaf: Deaf) => Promise<unknown>, string[]][] = [
  ["removed", async (deaf) => {
    await deaf.say("for all");
    await deaf.remove();
    await deaf.say(SECRET);
  }, ["message_received for all", "user_left removed"]],
  ["removed and added again", async (deaf) => {
    await deaf.remove();
    await deaf.say(SECRET);
    await deaf.add();
    await deaf.say("for all");
  }, ["user_joined MEMBER", "message_received for all"]],
  ["removed, added and removed", async (deaf) => {
    await deaf.remove();
    await deaf.say(SECRET);
    await deaf.add();
    await deaf.say("for all");
    await deaf.remove();
    await deaf.say(SECRET);
  }, ["message_received for all", "user_left removed"]],
  ["removed, and banned afterwards", async (deaf) => {
    await deaf.say("for all");
    await deaf.remove();
    await deaf.say(SECRET);
    await deaf.ban(true);
    await deaf.say(SECRET);
  }, ["message_received for all", "user_left banned"]],
  ["banned, and unbanned afterwards", async (deaf) => {
    await deaf.say("for all");
    await deaf.ban(true);
    await deaf.say(SECRET);
    await deaf.ban(false);
    await deaf.say(SECRET);
  }, ["message_received for all", "user_left left"]],
  ["out for longer than one read holds", async (deaf) => {
    await deaf.remove();
    for (let i = 0; i < 6; i++) await Promise.all(Array.from({ length: 100 }, () => deaf.say(SECRET)));
    await deaf.add();
  }, ["user_joined MEMBER"]],
];

for (const [how, happen, told] of STORIES) {
  Deno.test(`repair: who was ${how} is not told what was said meanwhile`, async () => {
    await using deaf = await Deaf.start();
    await happen(deaf);
    await deaf.repair();
    deepStrictEqual(deaf.toldTo(deaf.grace), told);
    const stays = told[0]?.startsWith("user_joined") ?? false;
    deaf.grace.pushes.length = 0;
    await deaf.say(stays ? "for all" : SECRET);
    await deaf.repair();
    deepStrictEqual(deaf.toldTo(deaf.grace), stays ? ["message_received for all"] : []);
  });
}

Deno.test("repair: the end of a room is the last that anybody hears of it", async () => {
  await using deaf = await Deaf.start();
  await deaf.say("last words");
  await deaf.ada.delete(`/rooms/${deaf.roomId}`);
  await deaf.repair();
  deepStrictEqual(deaf.toldTo(deaf.bob), ["message_received last words", "room_deleted"]);
  deepStrictEqual(deaf.toldTo(deaf.grace), deaf.toldTo(deaf.bob));
});
