/** What counts as unfinished, whose fault it is, and how often the warden looks. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Tally, toEnd, unfinishedLimits } from "../../src/sockets/unfinished.ts";
import { Vigilance } from "../../src/sockets/vigilance.ts";
import { RawClient, textFrame } from "../helpers/raw_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { MIB, pause, startTarget } from "./target.ts";

Deno.test("Tally reckons what is unfinished, and toEnd() takes the guilty and the largest", () => {
  const limits = unfinishedLimits(MIB);
  const socket = (...looks: [received: number, messages: number, messageBytes?: number][]) => {
    const tally = new Tally();
    looks.forEach(([received, messages, messageBytes = 0], i) =>
      tally.look(i * 100, received, messages, messageBytes)
    );
    return { tally };
  };
  const chatting = socket([1_000, 0], [5_000, 10], [900_000, 900], [1_800_000, 1_800]);
  const uploading = socket([1_000, 0], [800_000, 0], [1_000_000, 1], [1_000_500, 1]);
  const flooding = socket([1_000, 0], [2 * MIB, 0], [4 * MIB, 0]);
  const hiding = socket([1_000, 0], [3 * MIB, 1], [4 * MIB, 1]); // one whole message, and much more behind it
  deepStrictEqual(toEnd([chatting, uploading], limits), []);
  deepStrictEqual(toEnd([chatting, flooding, uploading, hiding], limits), [flooding, hiding]);
  // none has too much, all have: the largest go, until half of what is allowed is left
  const many = Array.from({ length: 200 }, (_, i) => socket([1_000, 0], [MIB + i, 0]));
  const ended = toEnd([chatting, ...many], limits);
  ok(ended.length >= 150 && ended.length < 200, `${ended.length}`);
  ok(!ended.includes(chatting) && ended.includes(many[199]!) && !ended.includes(many[0]!));
  // nor has all that together too much, but they are too many
  const crowd = Array.from({ length: 100 }, () => socket([1_000, 0], [100_000, 0]));
  deepStrictEqual(toEnd(crowd.slice(0, 64), limits), []);
  strictEqual(toEnd(crowd, limits).length, 68);
  // a moment after somebody was ended, less of both is too much
  strictEqual(toEnd(crowd.slice(0, 64), limits, true).length, 56);
  deepStrictEqual(toEnd(crowd.slice(0, 16), limits, true), []);
  const few = many.slice(0, 5);
  deepStrictEqual(toEnd(few, limits), []);
  strictEqual(toEnd(few, limits, true).length, 4);
  // who sends little is spared, however many there are
  deepStrictEqual(toEnd(Array.from({ length: 50_000 }, () => socket([1_000, 0], [60_000, 0])), limits), []);
  // who has sent a whole message and nothing since has nothing unfinished
  const done = Array.from({ length: 300 }, (_, i): [number, number, number] => [101_000 + i, 1, 100_000]);
  const quiet = socket([1_000, 0], ...done);
  ok(quiet.tally.unfinished < 2_000, `${quiet.tally.unfinished}`);
  deepStrictEqual(toEnd(Array.from({ length: 1_000 }, () => quiet), limits, true), []);
  // nor are many too many who come slowly, or of whom as much has come out before, unless there is no end of them
  const slow = socket([1_000, 0], ...Array.from({ length: 10 }, (_, i): [number, number] => [i * 20_000, 0]));
  const proven = socket([1_000, 0], [500_000, 1, 499_000], [900_000, 1, 499_000]);
  for (const good of [slow, proven]) {
    deepStrictEqual(toEnd(Array.from({ length: 200 }, () => good), limits, true), []);
    deepStrictEqual(toEnd([good, good, ...many], limits).includes(good), false);
    ok(toEnd(Array.from({ length: 1_000 }, () => good), limits).length > 500);
  }
  // a message takes no longer than 20 s a MiB
  const endless = socket(...Array.from({ length: 220 }, (_, i): [number, number] => [100_000 + i, 0]));
  deepStrictEqual(toEnd([endless], limits), [endless]);
});

Deno.test("Vigilance looks as often as it may cost: more when late, most while somebody is ended", () => {
  const vigilance = new Vigilance();
  const dueAfter = (now: number, tookMs: number): number => {
    vigilance.looked(now, tookMs);
    for (let ms = 0;; ms++) if (vigilance.isDue(now + ms)) return ms;
  };
  // calm: a hundredth of the time, but 200 ms are enough, unless that is more than a twentieth
  deepStrictEqual([0.2, 1, 5, 20].map((tookMs) => dueAfter(0, tookMs)), [20, 100, 200, 400]);
  vigilance.wasLate(10_000, 4);
  strictEqual(dueAfter(10_000, 5), 200);
  vigilance.wasLate(10_000, 6);
  strictEqual(dueAfter(10_000, 5), 100);
  vigilance.wasAttacked(10_000);
  deepStrictEqual([dueAfter(10_000, 5), vigilance.isAttacked(10_499)], [25, true]);
  deepStrictEqual([dueAfter(10_500, 5), vigilance.isAttacked(10_500)], [200, false]);
});

Deno.test("80 who have each sent one long message, and nothing since, are none too many", async () => {
  await using target = await startTarget();
  const content = "long".repeat(25_000);
  const clients: RawClient[] = [];
  for (let i = 0; i < 80; i++) {
    const client = await RawClient.open(target.port, { token: await signToken(`user${i}`) });
    clients.push(client);
    await client.write(textFrame({ event: "send_message", id: 1, data: { roomId: "none", content } }));
    await client.next(({ id, ack }) => id === 1 || ack === 1, "the refusal");
  }
  await pause(1_000);
  strictEqual(target.cuts("a message without end"), 0);
  deepStrictEqual(clients.filter(({ ended }) => ended !== undefined), []);
  for (const client of clients) client.close();
  target.requireNoFaults();
});
