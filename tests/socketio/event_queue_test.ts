/** The offset that a client is left with, wherever it is cut off: never more than it has, and no less. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { EventQueue } from "../../src/socketio/event_queue.ts";
import { parseOffset } from "../../src/socketio/offset.ts";

const EPOCH = "0b5ac6b4-3d5d-4a6c-9d5e-0d6f5a3c1b2a";
const [A, B] = ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"];
const [ROOM_A, ROOM_B, INBOX] = [`room:${A}`, `room:${B}`, "inbox:ada"] as const;

/** What leaves, each with what the client knows of itself when it has that: inbox and rooms. */
function start(): { queue: EventQueue; sent: [string, string][] } {
  const sent: [string, string][] = [];
  let known = "";
  const queue = new EventQueue((packet) => {
    const args = JSON.parse(packet.slice(packet.indexOf("[")));
    if (packet.startsWith("2") && typeof args.at(-1) === "string") known = args.at(-1);
    const told = parseOffset(known);
    const rooms = [...told?.rooms ?? []].map(([id, seq]) => ` ${id === A ? "A" : "B"}${seq}`);
    sent.push([
      String(packet.startsWith("2") ? args[0] : packet),
      told === undefined ? "-" : `${told.inbox}${rooms.join("")}`,
    ]);
  });
  queue.account(EPOCH);
  return { queue, sent };
}

const event = (name: string): string => `2["${name}",{}`;

Deno.test("EventQueue: hello says where the inbox stands, and each event what is told with it", () => {
  const { queue, sent } = start();
  queue.told(INBOX, 7);
  queue.event(event("hello"));
  deepStrictEqual(sent, []);
  queue.release();
  queue.told(INBOX, 8);
  queue.event(event("room_added"));
  queue.event(event("typing_indicator"));
  queue.flush();
  deepStrictEqual(sent, [["hello", "7"], ["room_added", "8"], ["typing_indicator", "8"]]);
});

Deno.test("EventQueue: a room is in the offset before the answer that says so, and out of it before the one that says that", () => {
  const { queue, sent } = start();
  queue.told(INBOX, 1);
  queue.release();
  queue.told(INBOX, 2);
  queue.event(event("room_added"));
  queue.packet("30[joined]".replace("joined", "{}"));
  queue.told(ROOM_A, 5);
  queue.told(ROOM_A, 6);
  queue.event(event("message_received"));
  queue.flush();
  deepStrictEqual(sent, [["offset", "1 A5"], ["room_added", "2 A5"], ["30[{}]", "2 A5"], [
    "message_received",
    "2 A6",
  ]]);
  sent.length = 0;
  queue.told(ROOM_A, 7);
  queue.event(event("user_left"));
  queue.forget(ROOM_A);
  queue.packet("31[{}]");
  queue.flush();
  deepStrictEqual(sent, [["user_left", "2 A7"], ["offset", "2"], ["31[{}]", "2"]]);
});

Deno.test("EventQueue: of two events in one place of the inbox, the last one tells it", () => {
  const { queue, sent } = start();
  queue.told(INBOX, 1);
  queue.release();
  for (const name of ["first", "second"]) {
    queue.told(INBOX, 2);
    queue.event(event(name));
  }
  queue.told(INBOX, 3);
  queue.event(event("third"));
  queue.flush();
  deepStrictEqual(sent.map(([name, offset]) => `${name} ${offset}`), ["first 1", "second 2", "third 3"]);
});

Deno.test("EventQueue: with more rooms than an offset holds the client is told to forget the one it has", () => {
  const { queue, sent } = start();
  queue.told(INBOX, 1);
  queue.told(ROOM_A, 1);
  for (let n = 0; n < 32; n++) queue.told(`room:${crypto.randomUUID()}`, 1);
  queue.release();
  deepStrictEqual(sent, []);
  queue.told(ROOM_A, 2);
  queue.event(event("message_received"));
  queue.flush();
  deepStrictEqual(sent, [["message_received", "-"]]);
  queue.forget(ROOM_A);
  queue.flush();
  queue.told(ROOM_B, 1);
  queue.flush();
  strictEqual(sent.length, 3);
  strictEqual(sent[2]?.[1], "-");
});
