/** sync: all rooms in one call, however many there are, however much has changed, and whatever goes wrong meanwhile. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { ROOMS_HEARD_MAX } from "../../src/protocol/limits.ts";
import { ModelClient } from "../helpers/chat_model.ts";
import type { RestAnswer, RestClient } from "../helpers/rest_client.ts";
import { startTestApp, type TestApp } from "../helpers/test_app.ts";

const MIB = 1024 * 1024;
type Json = RestAnswer["body"];

async function makeRooms(owner: RestClient, count: number): Promise<string[]> {
  const ids: string[] = [];
  const worker = async (): Promise<void> => {
    while (count-- > 0) ids.push((await owner.post("/rooms", { name: `Room ${count}` })).body.room.id);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return ids;
}

async function say(by: RestClient, roomIds: readonly string[], content: string, times = 1): Promise<void> {
  await Promise.all(roomIds.flatMap((roomId) =>
    Array.from({ length: times }, async () => {
      strictEqual((await by.post("/messages", { roomId, content })).status, 201);
    })
  ));
}

/** Settles once every one of the rooms has brought the device a push of a message. */
async function untilHeard(device: ModelClient, roomIds: readonly string[]): Promise<void> {
  const missing = () => roomIds.filter((id) => !device.seen.some((push) => push.roomId === id));
  for (const end = Date.now() + 5_000; missing().length > 0 && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  deepStrictEqual(missing(), []);
}

/** The whole of a sync by hand: the answers, until there is no more. */
async function answersOf(
  ask: (positions: object) => Promise<Json>,
  positions: Record<string, object>,
): Promise<Json[]> {
  const answers = [];
  for (let more = true; more;) {
    const answer = await ask(positions);
    answers.push(answer);
    positions = { ...positions };
    for (const { roomId, position } of answer.rooms) positions[roomId] = position;
    for (const roomId of answer.gone) delete positions[roomId];
    more = answer.more;
    ok(answers.length < 50, "there is no end to it");
  }
  return answers;
}

Deno.test("sync: megabytes of changes come in several answers, each bounded; then every room is heard, current ones too", async () => {
  await using app = await startTestApp();
  const ada = await app.rest("ada");
  const [quiet, loud] = [await makeRooms(ada, 10), await makeRooms(ada, 40)];
  const device = new ModelClient("ada", { members: false });
  await device.connect(app, "sync");
  const positions = device.model.positions();
  await device.disconnect();
  await say(ada, loud, "x".repeat(5_000), 10);

  const socket = await app.connect("ada");
  const answers = await answersOf((positions) => socket.call("sync", { positions }), positions);
  ok(answers.length >= 4, `${answers.length} answers for 2 MB`);
  for (const answer of answers) {
    ok(JSON.stringify(answer).length <= MIB, `${JSON.stringify(answer).length} bytes`);
  }
  const told = answers.flatMap((answer) => answer.rooms.map(({ roomId }: { roomId: string }) => roomId));
  deepStrictEqual(told.toSorted(), loud.toSorted()); // each once
  await say(ada, [...quiet, ...loud], "heard?");
  for (const roomId of [...quiet, ...loud]) {
    await socket.next(
      "message_received",
      ({ message }) => message.roomId === roomId && message.content === "heard?",
    );
  }
});

Deno.test("sync: rooms that are current are heard also when what changed fills the answer by itself", async () => {
  await using app = await startTestApp();
  const ada = await app.rest("ada");
  const [quiet, loud] = [await makeRooms(ada, 10), await makeRooms(ada, 11)];
  const device = new ModelClient("ada", { members: false });
  await device.connect(app, "sync");
  await device.disconnect();
  await say(ada, loud, "x".repeat(5_000), 10);
  await device.connect(app, "sync");
  device.seen.length = 0;
  await say(ada, [...quiet, ...loud], "heard?");
  await untilHeard(device, [...quiet, ...loud]);
  deepStrictEqual([device.faults, device.holes, device.repeats], [[], [], 0]);
  await device.disconnect();
});

Deno.test("sync: rooms gone and new, told alike on REST and on a socket, which hears what is left", async () => {
  await using app = await startTestApp();
  const [ada, grace] = [await app.rest("ada"), await app.rest("grace")];
  await grace.get("/rooms");
  const [removed, deleted, bounced, kept] = await makeRooms(ada, 4) as [string, string, string, string];
  for (const roomId of [removed, deleted, bounced, kept]) {
    await ada.post(`/rooms/${roomId}/members`, { userId: "grace" });
  }
  const device = new ModelClient("grace", { members: false });
  await device.connect(app, "sync");
  const positions = device.model.positions();
  await device.disconnect();

  await ada.delete(`/rooms/${removed}/members/grace`);
  await ada.delete(`/rooms/${deleted}`);
  await ada.delete(`/rooms/${bounced}/members/grace`);
  await say(ada, [bounced], "while she was out");
  await ada.post(`/rooms/${bounced}/members`, { userId: "grace" });
  const [added] = await makeRooms(ada, 1) as [string];
  await ada.post(`/rooms/${added}/members`, { userId: "grace" });
  const { body: { message } } = await ada.post("/direct-messages", { recipientId: "grace", content: "psst" });
  const stranger = crypto.randomUUID();
  const asked = { ...positions, [stranger]: { epoch: device.model.state.epoch, seq: 3 } };

  const overRest = (await grace.post("/sync", { positions: asked })).body;
  const socket = await app.connect("grace");
  const answer = await socket.call("sync", { positions: asked });
  for (const one of [overRest, answer]) {
    one.rooms.sort((a: { roomId: string }, b: { roomId: string }) => a.roomId < b.roomId ? -1 : 1);
    one.gone.sort();
  }
  deepStrictEqual(answer, overRest);
  strictEqual(answer.more, false);
  deepStrictEqual(answer.gone, [removed, deleted, stranger].toSorted());
  const byId = Object.fromEntries(answer.rooms.map((room: { roomId: string }) => [room.roomId, room]));
  deepStrictEqual(Object.keys(byId).toSorted(), [bounced, added, message.roomId].toSorted());
  deepStrictEqual([byId[bounced].reset, byId[added].reset, byId[message.roomId].reset], [false, true, true]);
  strictEqual(byId[bounced].messages[0].content, "while she was out"); // present members may read all of it
  strictEqual(byId[message.roomId].messages[0].content, "psst");

  await say(ada, [bounced, kept, added], "live");
  for (const roomId of [bounced, kept, added]) {
    await socket.next(
      "message_received",
      ({ message }) => message.roomId === roomId && message.content === "live",
    );
  }
});

Deno.test("sync: of more rooms than a connection may hear, the rest is told and named as unheard", async () => {
  await using app = await startTestApp();
  const ada = await app.rest("ada");
  const rooms = await makeRooms(ada, ROOMS_HEARD_MAX + 5);
  const socket = await app.connect("ada");
  const answers = await answersOf((positions) => socket.call("sync", { positions }), {});
  const unheard: string[] = answers.at(-1).unheard;
  strictEqual(unheard.length, 5);
  strictEqual(
    new Set(answers.flatMap((answer) => answer.rooms.map(({ roomId }: { roomId: string }) => roomId))).size,
    rooms.length,
  );
  await say(ada, rooms, "live");
  const heard = rooms.filter((roomId) => !unheard.includes(roomId));
  await socket.until(() => socket.events("message_received").length >= heard.length, "a message of each");
  deepStrictEqual(
    socket.events("message_received").map(({ roomId }) => roomId).toSorted(),
    heard.toSorted(),
  );
});

/** While it runs, no message can be read. */
async function withoutMessages(app: TestApp, work: () => Promise<void>): Promise<void> {
  const sql = postgres(app.database.url, { max: 1, fetch_types: false });
  try {
    await sql`alter table messages rename to messages_away`;
    await work();
  } finally {
    await sql`alter table messages_away rename to messages`;
    await sql.end();
  }
}

Deno.test("sync: one that fails leaves no room half heard: what was heard is told as left, and the next one hears all", async () => {
  await using app = await startTestApp();
  const ada = await app.rest("ada");
  const rooms = await makeRooms(ada, 8);
  const device = new ModelClient("ada", { members: false });
  await device.connect(app, "sync");
  strictEqual(device.heard.size, rooms.length);
  const positions = device.model.positions();
  await say(ada, rooms.slice(0, 4), "half of them have moved, the others are heard without being read");
  await untilHeard(device, rooms.slice(0, 4));
  await withoutMessages(app, () => rejects(device.ask("sync", { positions })));
  const [connection] = app.app.hub.connectionsOf("ada" as never);
  strictEqual(device.heard.size, connection && app.app.hub.roomsHeardBy(connection));
  await Promise.all(rooms.map((roomId) => device.hear(roomId)));
  await say(ada, rooms, "heard again");
  await untilHeard(device, rooms);
  deepStrictEqual([device.faults, device.holes, device.repeats], [[], [], 0]);
  await device.disconnect();
});

Deno.test("sync: a connection that goes in the midst of one leaves nothing that is heard", async () => {
  await using app = await startTestApp();
  const rooms = await makeRooms(await app.rest("ada"), 200);
  const socket = await app.connect("ada");
  const [connection] = app.app.hub.connectionsOf("ada" as never);
  if (connection === undefined) throw new Error("the connection is not there");
  socket.emit("sync", {});
  await new Promise((resolve) => setTimeout(resolve, 20));
  const before = app.app.hub.roomsHeardBy(connection);
  ok(before < rooms.length, "the sync is over already");
  await socket.close();
  await app.app.drain(); // what was asked has ended
  strictEqual(app.app.hub.roomsHeardBy(connection), 0);
});
