/** Search against queries and messages that are made to be slow, to break its syntax, or to be too large. */
import { ok, strictEqual } from "node:assert/strict";
import { codeOf, type DoorClient, type Json } from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people } from "../suites/door_suite.ts";

const say = async (client: DoorClient, roomId: string, content: string): Promise<Json> =>
  (await client.call("send_message", { roomId, content })).message;

const found = async (client: DoorClient, input: Json): Promise<string[]> =>
  (await client.call("search_messages", input)).messages.map(({ content }: Json) => content);

atEveryDoor("no query of search_messages is a fault or takes long", async (door) => {
  const [ada] = await people(door, "ada");
  const roomId = await makeRoom(ada);
  for (let i = 0; i < 30; i++) await say(ada, roomId, `some % words _ of "many" kinds \\ 你好 ${i}`);
  const hostile = [
    "%".repeat(200),
    "_%_%".repeat(50),
    `${"a or ".repeat(39)}b`,
    `-${"x ".repeat(99)}`,
    "a:*",
    "a:* & !b | (c)",
    '"unbalanced "quotes" here"',
    "\\".repeat(200),
    "'".repeat(199) + "a",
    "<->".repeat(60),
    "(((((((((a",
    "a <-> b",
    "你".repeat(200),
    "你好".repeat(6),
    "ﷺ".repeat(200),
    "ﷺ".repeat(10),
    "🏽".repeat(100),
    "ß".repeat(64),
    "abcdefgh ".repeat(7),
    "привет ".repeat(9),
    "\ud800",
    "a\u0301\u0301\u0301\u0301",
    ".*(a+)+$",
    "()|[]{}^$ab",
    "x".repeat(200),
  ];
  for (const query of hostile) {
    for (const match of ["words", "substring", "similar"]) {
      const began = performance.now();
      const code = await codeOf(ada.call("search_messages", { query, match })).catch(() => "answered");
      ok(["answered", "invalid_request"].includes(code), `${match} ${query}: ${code}`);
      const ms = performance.now() - began;
      ok(ms < 1_500, `${match} ${query}: ${ms} ms`);
    }
  }
}, { env: { CHAT_MAX_MESSAGE_LENGTH: "100000" } });

atEveryDoor("messages of the greatest length are sent and searched", async (door) => {
  const [ada] = await people(door, "ada");
  const roomId = await makeRoom(ada);
  const codes = Array.from({ length: 20_000 }, (_, i) => String.fromCodePoint(0x20000 + i)).join("");
  const long = [
    "x".repeat(100_000),
    "word ".repeat(20_000),
    codes.repeat(5).slice(0, 100_000),
    "я".repeat(60_000),
  ];
  for (const content of long) await say(ada, roomId, `needle ${content}`.slice(0, 100_000));
  strictEqual((await found(ada, { query: "needle", order: "newest" })).length, long.length);
}, { env: { CHAT_MAX_MESSAGE_LENGTH: "100000" } });
