import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { HearingCheck } from "../../bench/replay/hearing_check.ts";
import type { Heard, HearingLog } from "../../bench/replay/hearing.ts";
import { faultlessLog, historyTo, messageAt, ROOM } from "./logs.ts";

const history = historyTo(200);
const kindsOf = (log: HearingLog): string[] =>
  [
    ...new Set(new HearingCheck(history).check(log).map((fault) => fault.kind)),
  ].sort();
/** A log that was right until its pushes were changed. */
function broken(change: (heard: Heard[]) => void, from = 20, until?: number): HearingLog {
  const log = faultlessLog(history, from, until);
  change(log.heard);
  return log;
}

Deno.test("HearingCheck finds nothing in a faultless log, of one who stayed or left", () => {
  deepStrictEqual(kindsOf(faultlessLog(history, 0)), []);
  deepStrictEqual(kindsOf(faultlessLog(history, 120)), []);
  deepStrictEqual(kindsOf(faultlessLog(history, 20, 95)), []);
  deepStrictEqual(kindsOf(faultlessLog(history, 200)), []);
});

Deno.test("HearingCheck allows a repaired push that spans places, and one that begins before what is known", () => {
  const spans = broken((heard) => {
    // a membership that changed again: its first place has gone
    const gone = heard.findIndex((push) => push.message === undefined);
    const next = heard[gone + 1]!;
    heard.splice(gone, 2, { ...next, after: next.after - 1 });
  });
  deepStrictEqual(kindsOf(spans), []);
  deepStrictEqual(kindsOf(broken((heard) => heard[0]!.after -= 3)), []);
});

Deno.test("HearingCheck finds a dropped message, and a dropped push of another kind", () => {
  deepStrictEqual(kindsOf(broken((heard) => void heard.splice(7, 1))), ["hole", "missed"]);
  deepStrictEqual(kindsOf(broken((heard) => void heard.splice(4, 1))), ["hole"]);
});

Deno.test("HearingCheck finds a message dropped behind a push that claims to cover it", () => {
  deepStrictEqual(
    kindsOf(broken((heard) => {
      heard.splice(7, 1);
      heard[7]!.after--;
    })),
    ["missed"],
  );
});

Deno.test("HearingCheck finds the end of a stream dropped", () => {
  deepStrictEqual(kindsOf(broken((heard) => void heard.splice(-3))), ["hole", "missed"]);
  deepStrictEqual(kindsOf(broken((heard) => void heard.splice(-3, 2), 20, 95)), ["hole", "missed"]);
});

Deno.test("HearingCheck finds a doubled push, at once or later", () => {
  deepStrictEqual(kindsOf(broken((heard) => void heard.splice(7, 0, heard[7]!))), ["repeated"]);
  deepStrictEqual(kindsOf(broken((heard) => void heard.push(heard[7]!))), ["repeated"]);
});

Deno.test("HearingCheck finds a message doubled under a place of its own", () => {
  deepStrictEqual(kindsOf(broken((heard) => heard[4]!.message = heard[3]!.message)), ["repeated"]);
});

Deno.test("HearingCheck finds two pushes that changed places", () => {
  deepStrictEqual(kindsOf(broken((heard) => void heard.splice(6, 2, heard[7]!, heard[6]!))), [
    "disordered",
    "hole",
  ]);
});

Deno.test("HearingCheck finds what is foreign: of another room, before the join, after the leave, never said", () => {
  const later = (seq: number): Heard => ({
    event: "message_received",
    roomId: ROOM,
    after: seq - 1,
    seq,
    message: messageAt(seq),
  });
  deepStrictEqual(
    kindsOf(broken((heard) => void heard.splice(3, 0, { ...heard[3]!, roomId: "elsewhere" }))),
    [
      "foreign",
    ],
  );
  deepStrictEqual(kindsOf(broken((heard) => void heard.unshift(later(19)))), ["disordered", "foreign"]);
  deepStrictEqual(kindsOf(broken((heard) => void heard.push(later(96)), 20, 95)), ["foreign"]);
  deepStrictEqual(kindsOf(broken((heard) => void heard.push(later(201)))), ["foreign"]);
});

Deno.test("HearingCheck finds a message that is not as in history", () => {
  deepStrictEqual(kindsOf(broken((heard) => heard[3]!.message = messageAt(24, "other words"))), [
    "different",
  ]);
  deepStrictEqual(
    kindsOf(broken((heard) => heard[3]!.message = { ...messageAt(24), replyToId: messageAt(1).id })),
    ["different"],
  );
});

Deno.test("HearingCheck finds what is wrong with the page of the join's answer", () => {
  const log = faultlessLog(history, 120);
  const { messages } = log.page;
  const withPage = (page: HearingLog["page"]): HearingLog => ({ ...log, page });
  deepStrictEqual(kindsOf(withPage({ messages: messages.slice(1), hasMoreBefore: false })), ["missed"]);
  deepStrictEqual(kindsOf(withPage({ messages: [], hasMoreBefore: false })), ["missed"]);
  deepStrictEqual(kindsOf(withPage({ messages: messages.slice(0, -1), hasMoreBefore: true })), ["history"]);
  deepStrictEqual(
    kindsOf(withPage({ messages: [...messages.slice(0, -1), messageAt(119, "x")], hasMoreBefore: true })),
    ["different"],
  );
});

Deno.test("HearingCheck judges nothing of a join that failed, unless something was heard", () => {
  deepStrictEqual(kindsOf({ ...faultlessLog(history, 20), from: undefined, heard: [] }), []);
  deepStrictEqual(kindsOf({ ...faultlessLog(history, 20), from: undefined }), ["foreign"]);
});

Deno.test("HearingCheck finds any one change of any log", () => {
  const change = fc.constantFrom("drop", "double", "swap", "alter", "move");
  const place = fc.integer({ min: 0, max: 10_000 });
  fc.assert(fc.property(change, place, place, fc.boolean(), (what, first, second, left) => {
    const log = faultlessLog(history, 30, left ? 150 : undefined);
    const { heard } = log;
    const i = first % heard.length;
    const j = (i + 1 + second % (heard.length - 1)) % heard.length;
    const push = heard[i]!;
    if (what === "drop") heard.splice(i, 1);
    else if (what === "double") heard.splice(j, 0, push);
    else if (what === "swap") [heard[i], heard[j]] = [heard[j]!, push];
    else if (what === "move") heard[i] = { ...push, after: push.after + 1_000, seq: push.seq + 1_000 };
    else heard[i] = { ...push, message: messageAt(push.seq, "altered") };
    ok(kindsOf(log).length > 0, `${what} ${i} ${j}`);
  }));
});
