/** `deno task bench:hostile [-- words of attacks]`: about twelve minutes; writes bench/results/hostile.md if nothing was left out. */
import { join } from "node:path";
import { cpuSeconds } from "../../tests/faults/processes.ts";
import { startTarget, type Target } from "../../tests/hostile/target.ts";
import { signToken } from "../../tests/helpers/test_app.ts";
import { startEmbeddedPostgres } from "../../src/embedded/postgres.ts";
import { type Attack, type AttackerAsk, type AttackResult, ATTACKS } from "./attacks.ts";
import { Child, now, pause } from "./child.ts";
import { type ClosedLoopResult, runClosedLoop } from "./closed_loop.ts";
import type { InnocentsAsk, InnocentsResult } from "./innocents.ts";
import type { Published, PublisherAsk } from "./publisher.ts";
import { LOOP_WINDOW_S, reportText, type Row, rowsText } from "./report.ts";
import { closingsSince, NodeWatch } from "./watch.ts";

const RESULTS = new URL("../results/hostile.md", import.meta.url);
const INNOCENTS = 20;
const EVERY_MS = 100;
const PACE = `${INNOCENTS} in rooms of five, ${1_000 / EVERY_MS * INNOCENTS} sends a second together`;
const MESSAGE_LENGTH = 60_000;
const BEFORE_MS = 30_000;
const SETTLE_MS = 2_000;
const SETTINGS = { fsync: "off", full_page_writes: "off", max_wal_size: "4GB" };
const LOOP_SOCKETS = 1_000;
/** Attackers come from many addresses, as through a proxy; else one address's share would be the bound. */
const ENV = { CHAT_MAX_MESSAGE_LENGTH: String(MESSAGE_LENGTH), CLIENT_ADDRESS_HEADER: "x-client" };

async function main(words: readonly string[]): Promise<void> {
  const load = `Load of the machine before: ${Deno.loadavg()[0]?.toFixed(2)}.`;
  await using parts = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "scroll-chat-bench-" });
  parts.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.chmod(folder, 0o755); // Postgres may run as somebody else
  const postgres = parts.use(
    await startEmbeddedPostgres({
      dataDir: join(folder, "postgres"),
      database: "postgres",
      settings: SETTINGS,
    }),
  );
  Deno.env.set("TEST_DATABASE_URL", postgres.url);
  const target = parts.use(await startTarget({ ...ENV, CHAT_RATE_COMMANDS: "100", CHAT_RATE_CHANGES: "5" }));
  const innocents = parts.use(await startInnocents(target));
  await innocents.next();
  const watch = parts.use(new NodeWatch(target));
  const attacks = ATTACKS.filter(({ name }) => words.every((word) => name.includes(word)));
  const rows: Row[] = [];
  for (const attack of attacks) {
    say(attack.name);
    rows.push(await suffer(attack, target, watch));
  }
  await innocents.say("end");
  const chatted = await innocents.next() as InnocentsResult;
  target.requireNoFaults();
  for (const fault of chatted.faults.slice(0, 5)) say(`An innocent: ${fault[1]}`);
  if (words.length > 0) return say(rowsText(rows, chatted));
  say(`${LOOP_SOCKETS} sockets in a closed loop`);
  const { loop, cpuS: loopCpuS } = await closedLoop();
  const { total } = Deno.systemMemoryInfo();
  const text = reportText({
    machine: {
      cores: navigator.hardwareConcurrency,
      memoryGib: Math.round(total / 2 ** 30),
      deno: `Deno ${Deno.version.deno}`,
      postgres: "without fsync: the disk is not what is measured",
      load,
    },
    rows,
    innocents: chatted,
    pace: PACE,
    ...{ loop, loopCpuS },
  });
  await Deno.mkdir(new URL(".", RESULTS), { recursive: true });
  await Deno.writeTextFile(RESULTS, text);
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", RESULTS.pathname] }).output();
}

/** A quiet time, then the attack. */
async function suffer(attack: Attack, target: Target, watch: NodeWatch): Promise<Row> {
  await using parts = new AsyncDisposableStack();
  const place = ATTACKS.indexOf(attack); // others each time: those of the one before may be kept out still
  const users = Array.from({ length: 20 }, (_, i) => `mallory${place}.${i}`);
  const roomId = await target.room("crowd");
  const ask: AttackerAsk = {
    attack,
    port: target.port,
    network: `10.9.${place}`,
    tokens: await Promise.all(users.map((user) => signToken(user))),
    roomId,
  };
  const attacker = parts.use(await Child.start<AttackResult>("attacker.ts", ask, true));
  await attacker.next();
  const publisher = attack.is === "deaf" ? parts.use(await startPublisher(target, roomId, users)) : undefined;
  await publisher?.next();
  await pause(SETTLE_MS);
  const quietFrom = now();
  await pause(BEFORE_MS);

  watch.beginPeak();
  const lines = target.node.lines.length;
  const attackerBefore = cpuSeconds(attacker.pid);
  const from = now();
  await attacker.say("go");
  if (publisher !== undefined && attack.is === "deaf") {
    await untilPublished(publisher, attack.mib * 1024 * 1024);
    await attacker.say("stop");
  }
  const result = await attacker.next();
  const until = now();
  const attackerCpuS = cpuSeconds(attacker.pid) - attackerBefore;
  await pause(500); // the log comes by a pipe
  const span = { from, until };
  const before = { from: quietFrom, until: from };
  return {
    ...{ name: attack.name, attack: span, before, result, attackerCpuS, ...watch.peak() },
    use: watch.use(span),
    useBefore: watch.use(before),
    closings: closingsSince(target.node.lines, lines),
  };
}

async function startInnocents(target: Target): Promise<Child<"chatting" | InnocentsResult>> {
  const rooms = await Promise.all(
    Array.from({ length: INNOCENTS / 5 }, (_, i) => target.room(`innocent${i}`)),
  );
  const seats = await Promise.all(Array.from({ length: INNOCENTS }, async (_, i) => ({
    token: await signToken(`innocent${i}`),
    roomId: rooms[i % rooms.length] ?? "",
  })));
  const ask: InnocentsAsk = { url: target.node.url, seats, everyMs: EVERY_MS };
  return await Child.start("innocents.ts", ask);
}

/** All of it in ten seconds. */
async function startPublisher(
  target: Target,
  roomId: string,
  members: string[],
): Promise<Child<Published>> {
  const writers = Array.from({ length: 10 }, (_, i) => `writer${i}`);
  for (const user of [...writers, ...members]) {
    await (await target.rest(user)).post(`/rooms/${roomId}/join`, {});
  }
  const ask: PublisherAsk = {
    url: target.node.url,
    roomId,
    writers: await Promise.all(writers.map((user) => signToken(user))),
    reader: await signToken("writer0"),
    length: MESSAGE_LENGTH,
    bytesPerS: 25 * 1024 * 1024,
  };
  return await Child.start("publisher.ts", ask);
}

async function untilPublished(publisher: Child<Published>, bytes: number): Promise<void> {
  const soFar = async (): Promise<Published> => {
    await publisher.say("how much?");
    return await publisher.next();
  };
  const begun = await soFar();
  for (let found = begun; found.bytes - begun.bytes < bytes; found = await soFar()) {
    if (found.faults > begun.faults) throw new Error("What should be published was refused");
    await pause(50);
  }
}

async function closedLoop(): Promise<{ loop: ClosedLoopResult; cpuS: number }> {
  await using target = await startTarget({ CHAT_RATE_COMMANDS: "100", CHAT_RATE_CHANGES: "5" });
  const rooms: string[] = [];
  for (let i = 0; i < LOOP_SOCKETS / 10; i++) rooms.push(await target.room(`owner${i}`));
  const seats = await Promise.all(Array.from({ length: LOOP_SOCKETS }, async (_, i) => ({
    token: await signToken(`user${i}`),
    roomId: rooms[i % rooms.length] ?? "",
  })));
  const before = target.cpuSeconds();
  const ask = { port: target.port, seats, warmUpMs: 2_000, windowMs: LOOP_WINDOW_S * 1_000 };
  const loop = await runClosedLoop(ask);
  return { loop, cpuS: target.cpuSeconds() - before };
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  await main(Deno.args.filter((word) => word !== "--"));
  Deno.exit(0);
}
