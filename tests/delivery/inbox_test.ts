/**
 * The inbox: what reaches a device that hears no room. Each story is told three times: with a bus that works, with one
 * that doubles and shuffles, and with one that loses all, so that only the sweep brings it.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { ModelClient } from "../helpers/chat_model.ts";
import { type BusFaults, FaultyPair } from "../helpers/faulty_bus.ts";
import type { RestClient } from "../helpers/rest_client.ts";
import type { TestClaims } from "../helpers/test_app.ts";

const BUSES: [string, BusFaults | undefined][] = [
  ["a good bus", undefined],
  ["a bus that doubles and shuffles", { drop: 0, double: 0.5, late: 0.7, lateMs: 120 }],
  ["no bus, but the sweep", { drop: 1, double: 0, late: 0, lateMs: 0 }],
];

/** Grace's second device on one node, and all that happens on the other. */
class Story implements AsyncDisposable {
  private constructor(
    readonly pair: FaultyPair,
    readonly ada: RestClient,
    readonly grace: RestClient,
    readonly device: ModelClient,
  ) {}

  static async begin(faults: BusFaults | undefined, claims: TestClaims = {}): Promise<Story> {
    const pair = await FaultyPair.start();
    const [ada, grace] = [await pair.node(0).rest("ada"), await pair.node(0).rest("grace", claims)];
    await ada.get("/rooms");
    await grace.get("/rooms");
    const device = new ModelClient("grace", { hears: false, claims });
    await device.connect(pair.node(1), "join");
    pair.setFaults(faults);
    return new Story(pair, ada, grace, device);
  }

  /** Settles once the device is where the inbox stands. */
  async told(): Promise<void> {
    const [{ seq }] = await this.pair.sql`select inbox_seq as seq from users where id = 'grace'` as [
      { seq: number },
    ];
    const { state } = this.device.model;
    for (
      const end = Date.now() + 5_000;
      (state.inbox < seq || state.unsettled.size > 0) && Date.now() < end;
    ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    strictEqual(state.inbox, seq);
    deepStrictEqual(this.device.faults, []);
  }

  role(roomId: string): string | undefined {
    const { role, isMuted } = this.device.model.state.list.get(roomId)?.member ?? {};
    return role && (isMuted ? `${role}, muted` : role);
  }

  messages(roomId: string): [number, string, boolean][] {
    const messages = [...this.device.model.state.rooms.get(roomId)?.messages.values() ?? []];
    return messages.map((
      { seq, content, isDeleted },
    ): [number, string, boolean] => [seq, content, isDeleted]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.device.disconnect();
    deepStrictEqual(this.pair.errors, []);
    await this.pair[Symbol.asyncDispose]();
  }
}

for (const [bus, faults] of BUSES) {
  Deno.test(`inbox: rooms made, added, changed and taken away reach a device that hears none, with ${bus}`, async () => {
    await using story = await Story.begin(faults);
    const { ada, grace, device } = story;
    const make = async (by: RestClient, type = "PUBLIC") =>
      (await by.post("/rooms", { name: "R", type })).body.room.id;
    const own = await make(grace);
    await story.told();
    strictEqual(story.role(own), "OWNER");

    const secret = await make(ada, "PRIVATE");
    await ada.post(`/rooms/${secret}/members`, { userId: "grace" });
    await story.told();
    strictEqual(story.role(secret), "MEMBER");
    const patch = (change: object) => ada.patch(`/rooms/${secret}/members/grace`, change);
    await patch({ role: "MODERATOR" });
    await patch({ isMuted: true });
    await story.told();
    strictEqual(story.role(secret), "MODERATOR, muted");

    await ada.delete(`/rooms/${secret}/members/grace`);
    await story.told();
    strictEqual(story.role(secret), undefined);
    await ada.post(`/rooms/${secret}/members`, { userId: "grace" });
    await ada.delete(`/rooms/${secret}/members/grace`);
    await ada.post(`/rooms/${secret}/members`, { userId: "grace" });
    await story.told();
    strictEqual(story.role(secret), "MEMBER, muted");
    await patch({ isBlocked: true });
    await story.told();
    strictEqual(story.role(secret), undefined);

    const open = await make(ada);
    await grace.post(`/rooms/${open}/join`);
    await story.told();
    strictEqual(story.role(open), "MEMBER");
    await grace.post(`/rooms/${open}/leave`);
    await story.told();
    strictEqual(story.role(open), undefined);

    await grace.delete(`/rooms/${own}`);
    await story.told();
    strictEqual(story.role(own), undefined);
    deepStrictEqual([...device.model.state.list.keys()], []);
    if (faults !== undefined) return; // what is repaired may be told in fewer words
    const [created, added, updated, removed] = [
      "room_created",
      "room_added",
      "membership_updated",
      "room_removed",
    ];
    deepStrictEqual(device.inboxEvents, [
      ...[created, added, updated, updated, removed],
      ...[added, removed, added, removed, added, removed, removed],
    ]);
  });

  Deno.test(`inbox: direct messages, their edits, deletion and retention reach every device, with ${bus}`, async () => {
    await using story = await Story.begin(faults);
    const { ada, grace, pair } = story;
    const direct = async (by: RestClient, recipientId: string, content: string) =>
      (await by.post("/direct-messages", { recipientId, content })).body.message;
    const first = await direct(ada, "grace", "hello");
    await story.told();
    deepStrictEqual(story.messages(first.roomId), [[1, "hello", false]]);
    const answer = await direct(grace, "ada", "from my other device");
    await ada.put(`/messages/${first.id}`, { content: "hello!" });
    await story.told();
    deepStrictEqual(story.messages(first.roomId), [[1, "hello!", false], [2, "from my other device", false]]);
    await grace.delete(`/messages/${answer.id}`);
    const last = await direct(ada, "grace", "well");
    await story.told();
    deepStrictEqual(story.messages(first.roomId), [[1, "hello!", false], [2, "", true], [
      last.seq,
      "well",
      false,
    ]]);

    await pair.sql`update messages set created_at = '2001-01-01' where id = ${first.id}`;
    strictEqual(await pair.node(0).app.retention.removeBefore(new Date("2002-01-01")), 1);
    await story.told();
    deepStrictEqual(story.messages(first.roomId), [[2, "", true], [last.seq, "well", false]]);
    const note = await direct(grace, "grace", "note to self");
    await story.told();
    deepStrictEqual(story.messages(note.roomId), [[1, "note to self", false]]);
  });

  Deno.test(`inbox: a course lost takes its rooms away, and gives them back when it is regained, with ${bus}`, async () => {
    const now = Math.floor(Date.now() / 1000);
    const taking = (courses: string[], age: number) => ({ courses, issuedAt: now - age });
    await using story = await Story.begin(faults, taking(["algebra"], 300));
    const teacher = await story.pair.node(0).rest("teacher", { role: "teacher", courses: ["algebra"] });
    const { room } =
      (await teacher.post("/rooms", { name: "Algebra", type: "COURSE", courseId: "algebra" })).body;
    await story.grace.post(`/rooms/${room.id}/join`);
    await story.told();
    strictEqual(story.role(room.id), "MEMBER");
    const later = (courses: string[], age: number) => story.pair.node(0).rest("grace", taking(courses, age));
    await (await later([], 200)).get("/rooms");
    await story.told();
    strictEqual(story.role(room.id), undefined);
    await (await later(["algebra"], 100)).get("/rooms");
    await story.told();
    strictEqual(story.role(room.id), "MEMBER");
  });
}

Deno.test("inbox: a hole of more rows than one read holds is repaired whole, also where two rows share a place", async () => {
  await using story = await Story.begin(BUSES[2]?.[1]);
  const { ada, pair, device } = story;
  const bob = await pair.node(0).rest("bob");
  const direct = (by: RestClient, content: string) =>
    by.post("/direct-messages", { recipientId: "grace", content });
  const { body: { message: old } } = await direct(ada, "old");
  await direct(bob, "the first");
  await story.told();
  // 499 rows of one room; then, as rows 500 and 501 in one place, retention of the other and what is said after it
  for (let i = 0; i < 499; i += 50) {
    await Promise.all(Array.from({ length: Math.min(50, 499 - i) }, (_, k) => direct(bob, `${i + k}`)));
  }
  await pair.sql`update messages set created_at = '2001-01-01' where id = ${old.id}`;
  strictEqual(await pair.node(0).app.retention.removeBefore(new Date("2002-01-01")), 1);
  await direct(ada, "new");
  await story.told();
  deepStrictEqual(story.messages(old.roomId).map(([, content]) => content), ["new"]);
  const [other] = [...device.model.state.rooms.values()].filter(({ room }) => room.id !== old.roomId);
  strictEqual(other?.messages.size, 500);
  ok(device.seen.every(({ direct }) => direct));
});
