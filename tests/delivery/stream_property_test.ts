/**
 * Stream alone, over a store that is made up and a clock that goes when told: whatever comes in whatever order, pushes
 * leave in order, without a hole, each once, and in the end all of it.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { Push } from "../../src/delivery/push.ts";
import { Stream } from "../../src/delivery/stream.ts";
import { toJson } from "../../src/protocol/json_text.ts";
import { quietLog } from "../helpers/databases.ts";

const RUNS = Math.ceil(300 * Number(Deno.env.get("CHAT_PROPERTY_RUNS") ?? 1));
const HOLD_MS = 100;
const SWEEP_MS = 200;

/** Stands in for the runtime's timers, which go off only as time is let pass. */
class Clock implements Disposable {
  now = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();
  readonly #real = { setTimeout, clearTimeout };
  #lastId = 0;

  constructor() {
    globalThis.setTimeout = ((run: () => void, ms = 0) => this.at(this.now + ms, run)) as never;
    globalThis.clearTimeout = ((id: number) => void this.#timers.delete(id)) as never;
  }

  get pending(): number {
    return this.#timers.size;
  }

  at(at: number, run: () => void): number {
    this.#timers.set(++this.#lastId, { at, run });
    return this.#lastId;
  }

  async passUntil(time: number): Promise<void> {
    for (;;) {
      const [id, next] = [...this.#timers].reduce((a, b) => b[1].at < a[1].at ? b : a, [0, {
        at: Infinity,
        run() {},
      }]);
      if (next.at > time) break;
      this.#timers.delete(id);
      this.now = next.at;
      next.run();
      for (let turn = 0; turn < 30; turn++) await Promise.resolve();
    }
    this.now = time;
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#real);
  }
}

interface Plan {
  /** Each change: how long after the one before, which older row it changes anew (if that exists), when it is published. */
  changes: { gapMs: number; edits: number | undefined; publishedAfterMs: number[] }[];
  /** The stream is started when so many changes have been committed. */
  startAfter: number;
  reads: { ms: number; fails: boolean }[];
  rowsARead: number;
  /** Publications that nobody made. */
  forged: { atMs: number; after: number; span: number }[];
  closeAtMs: number | undefined;
}

const plans: fc.Arbitrary<Plan> = fc.record({
  changes: fc.array(
    fc.record({
      gapMs: fc.nat(40),
      edits: fc.option(fc.nat(30), { nil: undefined }),
      publishedAfterMs: fc.array(fc.oneof(fc.nat(20), fc.nat(600)), { maxLength: 3 }),
    }),
    { maxLength: 60 },
  ),
  startAfter: fc.nat(20),
  reads: fc.array(fc.record({ ms: fc.nat(80), fails: fc.boolean() }), { maxLength: 8 }),
  rowsARead: fc.integer({ min: 1, max: 30 }),
  forged: fc.array(
    fc.record({
      atMs: fc.nat(2_500),
      after: fc.oneof(fc.nat(80), fc.nat(2 ** 40)),
      span: fc.oneof(fc.constant(1), fc.integer({ min: -3, max: 2 ** 40 })),
    }).filter(({ after, span }) => after >= 60 || span !== 1), // one that looks like the next is beyond telling
    { maxLength: 6 },
  ),
  closeAtMs: fc.option(fc.nat(2_500), { nil: undefined }),
});

/** A store whose rows stand at their newest change, and a stream that hears of it as planned. */
class Play {
  readonly clock = new Clock();
  readonly delivered: { row: number; after: number; seq: number; version: number }[] = [];
  reads = 0;
  startedAt: number | undefined;
  readonly stream: Stream;
  readonly #plan: Plan;
  /** By row: where it stands. */
  readonly rows = new Map<number, number>();
  lastSeq = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.stream = new Stream({
      name: "room:test",
      holdMs: HOLD_MS,
      read: (since, known) => this.#read(since, known),
      deliver: ({ data, after, seq }) => this.delivered.push({ ...JSON.parse(data), after, seq }),
      onRepair: () => {},
      log: quietLog,
    });
    let at = 0;
    for (const [i, change] of plan.changes.entries()) {
      at += change.gapMs;
      this.clock.at(at, () => this.#commit(i + 1, change));
    }
    if (plan.startAfter >= plan.changes.length) this.clock.at(at, () => this.#start());
    for (const { atMs, after, span } of plan.forged) {
      this.clock.at(atMs, () => this.stream.offer(pushOf(-1, after, after + span, -1)));
    }
    for (let sweep = SWEEP_MS; sweep < at + 4_000; sweep += SWEEP_MS) {
      this.clock.at(sweep, () => this.startedAt !== undefined && this.stream.behind(this.lastSeq));
    }
    if (plan.closeAtMs !== undefined) this.clock.at(plan.closeAtMs, () => void this.stream.close());
  }

  #commit(seq: number, { edits, publishedAfterMs }: Plan["changes"][number]): void {
    this.lastSeq = seq;
    const row = edits !== undefined && this.rows.has(edits) ? edits : seq;
    this.rows.set(row, seq);
    if (seq === this.#plan.startAfter + 1) this.#start();
    for (const ms of publishedAfterMs) {
      this.clock.at(this.clock.now + ms, () => this.stream.offer(pushOf(row, seq - 1, seq, seq)));
    }
  }

  #start(): void {
    this.startedAt = this.lastSeq;
    this.stream.start(this.lastSeq);
  }

  async #read(since: number, known: number): Promise<{ through: number; pushes: Push[]; more: boolean }> {
    ok(known <= since && known >= (this.startedAt ?? 0), `known ${known}, since ${since}`);
    const { ms, fails } = this.#plan.reads[this.reads++] ?? { ms: 1, fails: false };
    const standing = [...this.rows].filter(([, seq]) => seq > since).sort(([, a], [, b]) => a - b);
    const found = standing.slice(0, this.#plan.rowsARead);
    const more = found.length < standing.length;
    const through = more ? found.at(-1)?.[1] ?? since : this.lastSeq;
    await new Promise<void>((resolve) => setTimeout(resolve, ms));
    if (fails) throw new Error("the database is away");
    const pushes = found.map(([row, seq], i) => pushOf(row, found[i - 1]?.[1] ?? since, seq, seq));
    return { through, pushes, more };
  }
}

function pushOf(row: number, after: number, seq: number, version: number): Push {
  return new Push({ event: "message_updated", data: toJson({ row, version }), after, seq });
}

function checkTiling({ delivered, startedAt = 0 }: Play): number {
  let position = startedAt;
  for (const { after, seq } of delivered) {
    ok(after <= position && position < seq, `(${after}, ${seq}] at ${position}`);
    position = seq;
  }
  return position;
}

Deno.test("Stream: pushes leave in order, without a hole, each once, whatever is lost, doubled, late or forged", async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const play = new Play(plan);
      using clock = play.clock;
      await clock.passUntil(20_000);
      const position = checkTiling(play);
      strictEqual(clock.pending, 0);
      if (plan.closeAtMs !== undefined) return;
      strictEqual(position, plan.changes.length);
      strictEqual(play.stream.through, plan.changes.length);
      // and what readers hold of each row is what it has become
      const held = new Map(play.delivered.map(({ row, version }) => [row, version]));
      for (const [row, seq] of play.rows) {
        if (seq > (play.startedAt ?? 0)) strictEqual(held.get(row), seq, `row ${row}`);
      }
    }),
    { numRuns: RUNS },
  );
});

const NOTHING: Plan = {
  changes: [],
  startAfter: 0,
  reads: [],
  rowsARead: 500,
  forged: [],
  closeAtMs: undefined,
};

Deno.test("Stream: forged publications far ahead cost a read each hold, and none once they stop", async () => {
  const forged = Array.from({ length: 500 }, (_, i) => ({ atMs: i * 10, after: 10_000 + i, span: 1 }));
  const play = new Play({ ...NOTHING, forged });
  using clock = play.clock;
  await clock.passUntil(5_200);
  const { reads } = play;
  ok(reads <= 5_200 / HOLD_MS, `${reads} reads`);
  await clock.passUntil(60_000);
  strictEqual(play.reads, reads);
  strictEqual(play.stream.through, 0);
  deepStrictEqual(play.delivered, []);
});

Deno.test("Stream: a publication that claims more than one step moves nothing", async () => {
  const change = { gapMs: 500, edits: undefined, publishedAfterMs: [0] };
  const play = new Play({
    ...NOTHING,
    changes: [change, change],
    forged: [{ atMs: 700, after: 1, span: 1_000_000 }],
  });
  using clock = play.clock;
  await clock.passUntil(20_000);
  deepStrictEqual(play.delivered.map(({ seq }) => seq), [1, 2].slice(play.startedAt));
  strictEqual(play.stream.through, 2);
});

Deno.test("Stream: more comes early than it keeps, and all of it is read", async () => {
  const play = new Play({
    ...NOTHING,
    changes: Array.from(
      { length: 1_500 },
      (_, i) => ({ gapMs: 0, edits: undefined, publishedAfterMs: i === 1 ? [] : [1] }),
    ),
  });
  using clock = play.clock;
  await clock.passUntil(20_000);
  strictEqual(checkTiling(play), 1_500);
  strictEqual(play.delivered.length, 1_500 - (play.startedAt ?? 0));
});

Deno.test("Stream: a database that is away is asked again every half second, until it is back", async () => {
  const play = new Play({
    ...NOTHING,
    changes: [{ gapMs: 100, edits: undefined, publishedAfterMs: [] }, {
      gapMs: 1,
      edits: undefined,
      publishedAfterMs: [],
    }],
    reads: Array.from({ length: 7 }, () => ({ ms: 5, fails: true })),
  });
  using clock = play.clock;
  await clock.passUntil(20_000);
  strictEqual(checkTiling(play), 2);
  ok(play.reads >= 8 && play.reads <= 30, `${play.reads} reads`);
});

Deno.test("Stream.close() waits for the read under way and leaves no timer", async () => {
  const gaps = [{ gapMs: 0, edits: undefined, publishedAfterMs: [] }, {
    gapMs: 0,
    edits: undefined,
    publishedAfterMs: [0],
  }];
  const play = new Play({ ...NOTHING, changes: [...gaps, ...gaps], reads: [{ ms: 5_000, fails: false }] });
  using clock = play.clock;
  await clock.passUntil(HOLD_MS + 200);
  strictEqual(play.reads, 1);
  const { length } = play.delivered;
  let closed = false;
  const closing = play.stream.close().then(() => closed = true);
  await clock.passUntil(3_000);
  strictEqual(closed, false);
  play.stream.offer(pushOf(9, 8, 9, 9));
  await clock.passUntil(6_000);
  await closing;
  strictEqual(clock.pending, 0);
  strictEqual(play.delivered.length, length);
});
