/**
 * Whoever reads whatever in whatever order, at once and at two nodes, over a bus that doubles, delays and shuffles: no device
 * hears a receipt that goes back, and in the end each has heard how far everybody has read, unless the bus has lost some.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { RECEIPTS_MAX } from "../../src/protocol/limits.ts";
import type { DoorClient, Ear, Json } from "../helpers/doors.ts";
import { TwoNodes } from "../helpers/two_nodes.ts";
import { makeRoom, signedIn } from "../suites/door_suite.ts";

const RUNS = Math.ceil(10 * Number(Deno.env.get("CHAT_PROPERTY_RUNS") ?? 1));
const READERS = ["bob", "cyd", "dan"];
const MESSAGES = 6;

const plan = fc.record({
  /** Each round at once. */
  rounds: fc.array(
    fc.array(
      fc.record({
        reader: fc.nat(READERS.length - 1),
        node: fc.nat(1),
        message: fc.nat(MESSAGES - 1),
        unread: fc.boolean(),
      }),
      { minLength: 1, maxLength: 12 },
    ),
    { minLength: 1, maxLength: 6 },
  ),
  faults: fc.record({
    drop: fc.constantFrom(0, 0, 0.4),
    double: fc.constantFrom(0, 0.7),
    late: fc.constantFrom(0, 0.7),
    lateMs: fc.constantFrom(5, 400),
  }),
});

interface Scene {
  nodes: TwoNodes;
  owner: Ear;
  ears: Ear[];
  readers: [DoorClient, DoorClient][];
}

async function setScene(nodes: TwoNodes): Promise<Scene> {
  const owner = await nodes.ear(0, "ada");
  const ears = [owner, await nodes.ear(1, "ada"), await nodes.ear(0, "bob"), await nodes.ear(1, "bob")];
  const readers: [DoorClient, DoorClient][] = [];
  for (const name of READERS) {
    readers.push([await signedIn(nodes.doors(0).rest, name), await nodes.rest(1, name)]);
  }
  return { nodes, owner, ears, readers };
}

/** What the ear has heard of the room, reader by reader, in order. */
function heardOf(ear: Ear, roomId: string): Map<string, number[]> {
  const heard = new Map<string, number[]>();
  for (const push of ear.events("read_receipt").filter((each) => each.roomId === roomId)) {
    ok(push.receipts.length <= RECEIPTS_MAX);
    for (const { userId, lastReadSeq } of push.receipts) {
      heard.set(userId, [...heard.get(userId) ?? [], lastReadSeq]);
    }
  }
  return heard;
}

async function play({ nodes, owner, ears, readers }: Scene, { rounds, faults }: Json): Promise<void> {
  const roomId = await makeRoom(owner, READERS);
  for (const ear of ears) await ear.call("join_room", { roomId });
  const messages: Json[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    messages.push((await owner.call("send_message", { roomId, content: `${i}` })).message);
  }
  for (const n of [0, 1]) nodes.setFaults(n, faults);
  const readUpTo = new Map<string, number>();
  for (const round of rounds) {
    await Promise.all(round.map(async ({ reader, node, message, unread }: Json) => {
      const { id: messageId, seq } = messages[message];
      const { readMarker } = await readers[reader]?.[node as 0 | 1].call(
        unread ? "mark_as_unread" : "mark_as_read",
        { messageId },
      );
      const name = READERS[reader] ?? "";
      if (!unread) readUpTo.set(name, Math.max(readUpTo.get(name) ?? 0, seq));
      ok(unread || readMarker.lastReadSeq >= seq);
    }));
  }
  const newest = (ear: Ear) =>
    [...heardOf(ear, roomId)].map(([name, seqs]) => [name, seqs.at(-1)]).toSorted();
  if (faults.drop === 0) {
    const expected = [...readUpTo].toSorted();
    for (const ear of ears) {
      await ear.socket.until(
        () => JSON.stringify(newest(ear)) === JSON.stringify(expected),
        JSON.stringify(expected),
        15_000,
      );
    }
  }
  for (const n of [0, 1]) nodes.setFaults(n, undefined);
  for (const ear of ears) {
    for (const [name, seqs] of heardOf(ear, roomId)) {
      deepStrictEqual(seqs, [...new Set(seqs)].toSorted((a, b) => a - b), `${ear.userId} of ${name}`);
      ok((seqs.at(-1) ?? 0) <= (readUpTo.get(name) ?? 0), `${name} has not read so far`);
    }
    const { readMarkers } = await ear.call("join_room", { roomId }); // and what is stored says the same
    const stored = new Map<string, number>(readMarkers.map((each: Json) => [each.userId, each.lastReadSeq]));
    for (const [name, seq] of readUpTo) deepStrictEqual(stored.get(name), seq, name);
  }
}

Deno.test("receipts never go back, whatever the bus does, and none is lost that the bus has not", async () => {
  await using nodes = await TwoNodes.start();
  const scene = await setScene(nodes);
  await fc.assert(fc.asyncProperty(plan, (each) => play(scene, each)), { numRuns: RUNS, endOnFailure: true });
});
