/** The judge sees each thing that can go wrong, and nothing where all is well. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type Evidence, judge } from "../faults/checker.ts";
import { RoomLog } from "../faults/receiver.ts";

const ROOM = "room";
const WHO = "ada";

/** Three messages, sent, stored and shown as they should be. */
function whole(): Evidence & { log: RoomLog } {
  const stored = [1, 2, 3].map((seq) => ({
    ...{ id: `id-${seq}`, roomId: ROOM, seq, clientMessageId: `c-${seq}`, content: `c-${seq}` },
  }));
  const log = new RoomLog(ROOM);
  log.steps.push({ by: "reset", after: -1, seq: 0, event: "start" });
  for (const { id, seq, content } of stored) {
    log.steps.push({ by: "push", after: seq - 1, seq, event: "message_received" });
    log.shown.push({ id, seq, at: seq });
    log.seen.add(id);
    log.state.set(id, content);
  }
  return {
    log,
    stored,
    sent: stored.map(({ id, seq, clientMessageId, content }) => ({
      ...{ clientMessageId, content, roomId: ROOM, at: 0, tries: 1, ack: { id, seq, at: 1 } },
    })),
    publisherFaults: [],
    receivers: [{ userId: WHO, logs: [log], strangeRooms: new Set() }],
    stays: [{ roomId: ROOM, userId: WHO, leftSeq: undefined }],
    nodes: [{
      ...{ name: "node 0", isAlive: true, growthMiB: 1, faults: [] },
      histories: new Map([[ROOM, stored.map(({ id }) => id)]]),
    }],
    healMs: 0,
    backlog: 0,
  };
}

Deno.test("judge() finds nothing where all is well", () => {
  const { violations, ...counts } = judge(whole());
  deepStrictEqual(violations, []);
  deepStrictEqual(counts, {
    ...{ sent: 3, acked: 3, delivered: 3, lost: 0, repeated: 0, reordered: 0, rawRepeats: 0 },
  });
});

const wrongs: [string, string, (evidence: ReturnType<typeof whole>) => void][] = [
  ["I1", "an ack of what is not stored", ({ stored }) => (stored as unknown[]).pop()],
  ["I1", "an ack with another seq than the stored one", ({ sent }) => sent[0]?.ack && (sent[0].ack.seq = 9)],
  ["I1", "a refusal that no retry can help", (evidence) => (evidence.publisherFaults as string[]).push("no")],
  ["I2", "a hole between two steps", ({ log }) => log.steps.splice(2, 1)],
  ["I2", "two messages the wrong way round", ({ log }) => log.shown.reverse()],
  ["I2", "an end state that is not the history", ({ log }) => log.state.set("id-2", "other")],
  ["I2", "a node that tells another history", ({ nodes }) =>
    nodes[0]?.histories.get(ROOM)?.slice(1) &&
    (nodes[0].histories as Map<string, string[]>).set(ROOM, ["id-1"])],
  ["I3", "a message shown twice", ({ log }) => log.repeats++],
  ["I4", "a message that never came", ({ log }) => log.seen.delete("id-3")],
  ["I4", "a send that was never acknowledged", ({ sent }) => sent[0] && (sent[0].ack = undefined)],
  ["I4", "healing that takes too long", (evidence) => evidence.healMs = 10_001],
  [
    "I5",
    "a retry that is stored twice",
    ({ stored }) => (stored as unknown[]).push({ ...stored[0], id: "id-4", seq: 4 }),
  ],
  ["I6", "a node that is dead", ({ nodes }) => nodes[0] && (nodes[0].isAlive = false)],
  ["I6", "a node that grew too much", ({ nodes }) => nodes[0] && (nodes[0].growthMiB = 151)],
  ["I6", "a fault that nobody caught", ({ nodes }) => (nodes[0]?.faults as string[]).push("process.fault")],
  [
    "I7",
    "a room that was never theirs",
    ({ receivers }) => (receivers[0]?.strangeRooms as Set<string>).add("x"),
  ],
  ["I7", "a message from after they had left", ({ stays, log }) => {
    if (stays[0] !== undefined) stays[0].leftSeq = 2;
    log.goneAt = 1;
  }],
  ["I7", "a member who was never told of the end", ({ stays }) => stays[0] && (stays[0].leftSeq = 3)],
];

for (const [invariant, what, spoil] of wrongs) {
  Deno.test(`judge() notices ${what} (${invariant})`, () => {
    const evidence = whole();
    spoil(evidence);
    const { violations } = judge(evidence);
    ok(violations.some((text) => text.startsWith(invariant)), violations.join("\n") || "nothing was noticed");
  });
}

Deno.test("judge() asks nothing of a member who left, beyond the end", () => {
  const evidence = whole();
  const { log, stays } = evidence;
  if (stays[0] !== undefined) stays[0].leftSeq = 2;
  log.goneAt = 1;
  log.steps.pop();
  log.shown.pop();
  strictEqual(judge(evidence).violations.length, 0);
});
