/**
 * Whatever is sent, named, changed, deleted, read, left and blocked, by whom and on which of two nodes: what is told as
 * unread is what a recount of all that was said comes to, for every user and room, wherever it is asked for.
 */
import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { DoorClient, Json } from "../helpers/doors.ts";
import { TwoNodes } from "../helpers/two_nodes.ts";
import { ModelRoom } from "../helpers/unread_model.ts";
import { signedIn } from "../suites/door_suite.ts";

const RUNS = Math.ceil(14 * Number(Deno.env.get("CHAT_PROPERTY_RUNS") ?? 1));
const USERS = 4;

const user = fc.nat(USERS - 1);
const place = fc.nat(1_000);
const op = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      is: fc.constant("send" as const),
      by: user,
      room: place,
      names: fc.array(user),
      inText: fc.boolean(),
      replies: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      is: fc.constant("burst" as const),
      by: user,
      room: place,
      names: fc.array(user, { maxLength: 2 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ is: fc.constant("direct" as const), by: user, to: user, names: fc.array(user) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      is: fc.constant("edit" as const),
      room: place,
      message: place,
      names: fc.array(user),
    }),
  },
  { weight: 2, arbitrary: fc.record({ is: fc.constant("delete" as const), room: place, message: place }) },
  {
    weight: 4,
    arbitrary: fc.record({
      is: fc.constantFrom("read" as const, "unread" as const),
      by: user,
      room: place,
      message: place,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      is: fc.constantFrom("join" as const, "leave" as const, "remove" as const),
      by: user,
      room: place,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ is: fc.constantFrom("block" as const, "unblock" as const), by: user, to: user }),
  },
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

/** One sequence, played on users and rooms of its own. */
class Play {
  readonly #clients: [DoorClient, DoorClient][] = [];
  readonly #names: string[] = [];
  readonly #open: ModelRoom[] = [];
  /** By the two names, sorted. */
  readonly #direct = new Map<string, ModelRoom>();
  readonly #blocks = new Set<string>();
  #turn = 0;

  static async start(nodes: TwoNodes, run: number): Promise<Play> {
    const play = new Play();
    for (let i = 0; i < USERS; i++) {
      const name = `r${run}-u${i}`;
      const [here, there] = [await signedIn(nodes.doors(0).rest, name), await nodes.rest(1, name)];
      play.#names.push(name);
      play.#clients.push([here, there]);
    }
    for (const owner of [0, 1]) {
      const { room } = await play.#as(owner).call("create_room", { name: "a room" });
      const model = new ModelRoom(room.id, play.#name(owner));
      model.seq = 1;
      model.join(play.#name(owner));
      play.#open.push(model);
      for (const [i, name] of play.#names.entries()) {
        await play.#as(i).call("join_room", { roomId: room.id });
        if (!model.members.has(name)) model.join(name);
      }
    }
    return play;
  }

  #name(user: number): string {
    return this.#names[user] ?? "";
  }

  /** Now on the one node, now on the other. */
  #as(user: number): DoorClient {
    return this.#clients[user]?.[this.#turn++ % 2] as DoorClient;
  }

  #rooms(): ModelRoom[] {
    return [...this.#open, ...this.#direct.values()];
  }

  #roomAt(place: number): ModelRoom {
    const rooms = this.#rooms();
    return rooms[place % rooms.length] as ModelRoom;
  }

  #isStopped(room: ModelRoom): boolean {
    const [one = "", other = one] = room.members.keys();
    return room.owner === undefined &&
      (this.#blocks.has(`${one} ${other}`) || this.#blocks.has(`${other} ${one}`));
  }

  async play(op: Op): Promise<void> {
    switch (op.is) {
      case "send":
        return await this.#send(op);
      case "burst":
        await Promise.all(
          Array.from({ length: 60 }, () => this.#send({ ...op, inText: false, replies: false })),
        );
        return;
      case "direct":
        return await this.#write(op);
      case "edit":
      case "delete":
        return await this.#change(op);
      case "read":
      case "unread":
        return await this.#mark(op);
      case "block":
      case "unblock":
        return await this.#block(op);
      default:
        return await this.#move(op);
    }
  }

  async #send(
    op: { by: number; room: number; names: number[]; inText: boolean; replies: boolean },
  ): Promise<void> {
    const [room, by] = [this.#roomAt(op.room), this.#name(op.by)];
    if (!room.members.has(by) || this.#isStopped(room)) return;
    const names = op.names.map((each) => this.#name(each));
    const replyToId = op.replies ? room.messages.at(0)?.id : undefined;
    const { message } = await this.#as(op.by).call("send_message", {
      roomId: room.id,
      ...op.inText
        ? { content: `to ${names.map((name) => `@${name}`).join(", ")}.` }
        : { content: "text", mentions: names },
      ...replyToId === undefined ? {} : { replyToId },
    });
    room.say(by, message, names);
  }

  async #write(op: { by: number; to: number; names: number[] }): Promise<void> {
    const [by, to] = [this.#name(op.by), this.#name(op.to)];
    if (this.#blocks.has(`${by} ${to}`) || this.#blocks.has(`${to} ${by}`)) return;
    const names = op.names.map((each) => this.#name(each));
    const ask = { recipientId: to, content: "text", mentions: names };
    const { message } = await this.#as(op.by).call("send_direct_message", ask);
    const key = [by, to].toSorted().join(" ");
    const room = this.#direct.get(key) ?? new ModelRoom(message.roomId, undefined);
    this.#direct.set(key, room);
    for (const each of [by, to]) {
      if (!room.members.has(each)) room.members.set(each, { readUpTo: 0, after: 0 });
    }
    room.say(by, message, names);
  }

  async #change(
    op: { is: "edit" | "delete"; room: number; message: number; names?: number[] },
  ): Promise<void> {
    const room = this.#roomAt(op.room);
    const said = room.messages[op.message % room.messages.length];
    if (said === undefined || !room.members.has(said.by)) return;
    const by = this.#names.indexOf(said.by);
    if (op.is === "delete") {
      await this.#as(by).call("delete_message", { messageId: said.id });
      room.delete(said);
    } else if (!said.isDeleted && !this.#isStopped(room)) {
      const names = (op.names ?? []).map((each) => this.#name(each));
      await this.#as(by).call("update_message", { messageId: said.id, content: "edited", mentions: names });
      room.edit(said, names);
    }
  }

  async #mark(op: { is: "read" | "unread"; by: number; room: number; message: number }): Promise<void> {
    const [room, by] = [this.#roomAt(op.room), this.#name(op.by)];
    const said = room.messages[op.message % room.messages.length];
    if (said === undefined || !room.members.has(by)) return;
    const { unread } = await this.#as(op.by).call(`mark_as_${op.is}`, { messageId: said.id });
    room[op.is](by, said);
    deepStrictEqual(unread, room.unreadOf(by));
  }

  async #move(op: { is: "join" | "leave" | "remove"; by: number; room: number }): Promise<void> {
    const [room, by] = [this.#open[op.room % this.#open.length] as ModelRoom, this.#name(op.by)];
    if (op.is === "join") {
      const { unread } = await this.#as(op.by).call("join_room", { roomId: room.id });
      if (!room.members.has(by)) room.join(by);
      deepStrictEqual(unread, room.unreadOf(by));
    } else if (by !== room.owner && room.members.has(by)) {
      if (op.is === "leave") await this.#as(op.by).call("leave_room", { roomId: room.id, membership: true });
      else {
        const owner = this.#names.indexOf(room.owner ?? "");
        await this.#as(owner).call("remove_member", { roomId: room.id, userId: by });
      }
      room.leave(by);
    }
  }

  async #block(op: { is: "block" | "unblock"; by: number; to: number }): Promise<void> {
    if (op.by === op.to) return;
    await this.#as(op.by).call(`${op.is}_user`, { userId: this.#name(op.to) });
    const key = `${this.#name(op.by)} ${this.#name(op.to)}`;
    if (op.is === "block") this.#blocks.add(key);
    else this.#blocks.delete(key);
  }

  async check(): Promise<void> {
    for (const [i, clients] of this.#clients.entries()) {
      const mine = this.#rooms().filter((room) => room.members.has(this.#name(i)));
      const expected = new Map(mine.map((room) => [room.id, room.unreadOf(this.#name(i))]));
      for (const client of clients) await this.#checkAnswers(client, mine, expected);
    }
  }

  async #checkAnswers(client: DoorClient, mine: ModelRoom[], expected: Map<string, Json>): Promise<void> {
    const [{ rooms }, { conversations }, counts] = await Promise.all([
      client.call("list_rooms"),
      client.call("list_conversations"),
      client.call("unread_counts"),
    ]);
    const told = new Map<string, Json>([
      ...rooms.map((room: Json) => [room.id, room.unread]),
      ...conversations.map((each: Json) => [each.roomId, each.unread]),
    ]);
    deepStrictEqual(told, new Map([...told.keys()].map((id) => [id, expected.get(id)])), client.userId);
    deepStrictEqual(told.size, expected.size);
    const some = [...expected].filter(([, { count }]) => count > 0);
    const sum = (of: "count" | "mentions") => some.reduce((all, [, unread]) => all + unread[of], 0);
    deepStrictEqual(counts.total, { rooms: some.length, count: sum("count"), mentions: sum("mentions") });
    deepStrictEqual(new Map(counts.rooms.map((each: Json) => [each.roomId, each.unread])).size, some.length);
    for (const { roomId, unread } of counts.rooms) deepStrictEqual(unread, expected.get(roomId));
    for (const { id } of mine) {
      deepStrictEqual((await client.call("join_room", { roomId: id })).unread, expected.get(id));
    }
  }
}

Deno.test("unread is what a recount comes to, after any sequence, at two nodes", async () => {
  await using nodes = await TwoNodes.start();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 20, maxLength: 70 }), async (ops) => {
      const play = await Play.start(nodes, ++run);
      for (const each of ops) await play.play(each);
      await play.check();
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
});
