import {
  directRooms,
  faultyItem,
  judgedAfterTheLock,
  refusedItem,
  repeatsInABatch,
  sendsAndRepeats,
} from "./append_suite.ts";

const ROUNDS = 20;

Deno.test("Appender: 400 sends, 160 of them repeats, from 4 nodes at once: a row each, no hole, repeats as firsts", () =>
  sendsAndRepeats({}, ROUNDS));

Deno.test("Appender: 400 direct messages from 4 nodes at once: one room a pair, whoever is first", () =>
  directRooms({}, ROUNDS));

Deno.test("Appender: what is committed while a send waits for the room's lock decides about the send", () =>
  judgedAfterTheLock({}));

Deno.test("Appender: repeats within one batch are one message, in one call", () => repeatsInABatch({}));

Deno.test("Appender: one refused item of a batch of 50 leaves 49 sent, in one call", () => refusedItem({}));

Deno.test("Appender: one item that makes the call fail leaves the other 49 sent, in order", () =>
  faultyItem({}));
