/** Envelopes of the native socket: what is no command is told, keeps the socket open and harms nobody. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { SUBPROTOCOL_BATCH } from "../../src/protocol/limits.ts";
import { codeOf, type Ear, type Json, startDoors } from "../helpers/doors.ts";
import { connectSocket, type TestSocket } from "../helpers/test_socket.ts";

const NO_COMMANDS = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "valueOf",
  "",
  " ",
  "list_rooms ",
  "LIST_ROOMS",
];
const OF_OTHERS = [
  "error",
  "connect",
  "disconnect",
  "disconnecting",
  "hello",
  "message_received",
  "typing_indicator",
  "\u0000",
  "\ud800",
];

/** What `frame` is answered with, whether by an ack or an event. */
async function answersTo(ear: Ear<TestSocket>, frame: string): Promise<Json[]> {
  const before = ear.socket.pushes.length;
  ear.socket.raw(frame);
  await ear.settled();
  return ear.socket.pushes.slice(before).filter(({ event }) => event !== "status_updated"); // her own coming
}

Deno.test("CommandLoop tells unknown commands, by ack or by event, and goes on", async () => {
  await using doors = await startDoors();
  const ear = await doors.socket.ear("ada");
  for (const name of [...NO_COMMANDS, ...OF_OTHERS, "x".repeat(10_000)]) {
    strictEqual(await codeOf(ear.call(name)), "unknown_command", name);
    const [told] = await answersTo(ear, JSON.stringify({ event: name, data: {} }));
    deepStrictEqual([told.event, told.data.code], ["error", "unknown_command"]);
    strictEqual(told.data.command, name.slice(0, 64).toWellFormed());
  }
});

Deno.test("CommandLoop tells frames that are no envelope", async () => {
  await using doors = await startDoors();
  const ear = await doors.socket.ear("ada");
  const deep = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);
  const noEnvelopes = [
    ...[
      "",
      " ",
      "x",
      "{",
      "[",
      "null",
      "7",
      '"text"',
      "true",
      "[]",
      "{}",
      "NaN",
      "\u0000",
      '{"event":7}',
      '{"event":null}',
    ],
    ...[
      '{"data":{}}',
      '{"event":["list_rooms"]}',
      '[{"event":"list_rooms"}]',
      '{"__proto__":{"event":"list_rooms"}}',
    ],
    ...[
      deep(200_000, "[", "]"),
      deep(100_000, '{"a":', "}"),
      "[".repeat(500_000),
      '{"event":"x","data":'.repeat(20_000),
    ],
  ];
  for (const frame of noEnvelopes) {
    const [told] = await answersTo(ear, frame);
    deepStrictEqual([told?.event, told?.data.code], ["error", "invalid_request"], frame.slice(0, 50));
  }
  // nested deeply where a field should be
  const nested = `{"event":"create_room","id":1000000,"data":{"name":${deep(200_000, "[", "]")}}}`;
  const [ack] = await answersTo(ear, nested);
  deepStrictEqual([ack.ack, ack.error.code, ack.error.details.field], [1_000_000, "invalid_request", "name"]);
  const binary = new TextEncoder().encode('{"event":"list_rooms","id":1000001}');
  ear.socket.raw(binary);
  strictEqual(
    (await ear.next("error", ({ message }) => message.includes("text frame"))).code,
    "invalid_request",
  );
});

Deno.test("CommandLoop answers under the id that was given, and tells an id that is none", async () => {
  await using doors = await startDoors();
  const ear = await doors.socket.ear("ada");
  for (const id of [0, -1, 2 ** 53 - 1, "", "a", "x".repeat(64), "🕊", "__proto__", "\ud800"]) {
    const [answer] = await answersTo(ear, JSON.stringify({ event: "list_rooms", id, data: {} }));
    deepStrictEqual([answer.ack, answer.data.rooms], [id, []], JSON.stringify(id));
    const [failed] = await answersTo(ear, JSON.stringify({ event: "get_room", id, data: {} }));
    deepStrictEqual([failed.ack, failed.error.code], [id, "invalid_request"], JSON.stringify(id));
  }
  for (const id of [1.5, 2 ** 53, null, true, {}, [], "x".repeat(65)]) {
    const [told] = await answersTo(ear, JSON.stringify({ event: "list_rooms", id, data: {} }));
    deepStrictEqual([told.event, told.data.code, told.data.details.field], [
      "error",
      "invalid_request",
      "id",
    ]);
  }
});

Deno.test("a command without an id is answered by events", async () => {
  await using doors = await startDoors();
  const ear = await doors.socket.ear("ada");
  const { room } = await ear.call("create_room", { name: "quiet" });
  ear.socket.emit("join_room", { roomId: room.id });
  const joined = await ear.next("room_joined");
  deepStrictEqual([joined.roomId, joined.reset, joined.room.name], [room.id, true, "quiet"]);
  ear.socket.emit("send_message", { roomId: room.id, content: "hello" });
  strictEqual((await ear.next("message_received")).message.content, "hello");
  ear.socket.emit("leave_room", { roomId: room.id });
  deepStrictEqual(await ear.next("room_left"), { roomId: room.id });
  ear.socket.emit("send_message", { roomId: room.id });
  const { code, command, details } = await ear.next("error");
  deepStrictEqual([code, command, details.field], ["invalid_request", "send_message", "content"]);
  // with an id the ack says it all
  await ear.call("join_room", { roomId: room.id });
  await ear.call("leave_room", { roomId: room.id });
  deepStrictEqual([ear.events("room_joined").length, ear.events("room_left").length], [1, 1]);
});

Deno.test("a batch is as many commands in order, a bad one among them harms none", async () => {
  await using doors = await startDoors();
  const socket = await connectSocket(doors.app.url, await doors.app.tokenFor("ada"), SUBPROTOCOL_BATCH);
  // acks of ids that the client did not give lie among the pushes
  const answer = (id: string): Json => (socket.pushes as Json[]).find(({ ack }) => ack === id);
  const batch = [
    { event: "create_room", data: { name: "one" }, id: "a" },
    { event: "create_room", data: {}, id: "b" },
    null,
    [{ event: "list_rooms", id: "nested" }],
    { event: "list_rooms", data: {}, id: "c" },
  ];
  socket.raw(JSON.stringify(batch));
  await socket.until(() => answer("c") !== undefined, "the last answer");
  strictEqual(answer("a").data.room.name, "one");
  strictEqual(answer("b").error.details.field, "name");
  strictEqual(answer("c").data.rooms.length, 1);
  strictEqual(answer("nested"), undefined);
  await socket.until(() => socket.events("error").length === 2, "two errors");
  // too many in one frame: none is run
  socket.raw(
    JSON.stringify(
      Array.from({ length: 101 }, (_, i) => ({ event: "create_room", data: { name: "x" }, id: i })),
    ),
  );
  await socket.until(() => socket.events("error").length === 3, "the third");
  deepStrictEqual((await socket.call("list_rooms")).rooms.length, 1);
  await socket.close();
});
