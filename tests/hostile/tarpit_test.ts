/** Who is refused very often hears of it late; honest mistakes do not, and a node that goes away keeps nobody. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { ChatError } from "../../src/protocol/errors.ts";
import { spread } from "../../src/sockets/spread.ts";
import { Tarpit } from "../../src/sockets/tarpit.ts";
import { frame, handshake, OPCODE, RawClient, toBytes } from "../helpers/raw_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { connectSocket } from "../helpers/test_socket.ts";
import { latenciesOf, pause, startTarget, type Target } from "./target.ts";

const PROMPT = 50;
const HELD_MS = 1_500;

interface Refused {
  ms: number;
  status: number;
  text: string;
}

async function refusedUpgrade(target: Target, token: string): Promise<Refused> {
  using client = await RawClient.connect(target.port);
  const started = performance.now();
  await client.write(toBytes(handshake({ token })));
  const { status, text } = await client.readHead();
  return { ms: performance.now() - started, status, text };
}

Deno.test("of 300 who come with a bad token, 50 are told at once and the others late, each of them the same", async () => {
  await using target = await startTarget();
  await using innocents = await target.innocents();
  const refused = await Promise.all(
    Array.from({ length: 300 }, (_, i) => refusedUpgrade(target, `not.a.token${i}`)),
  );
  deepStrictEqual(refused.filter(({ status }) => status !== 401), []);
  ok(refused.every(({ text }) => /www-authenticate: bearer/i.test(text)));
  const held = refused.filter(({ ms }) => ms >= HELD_MS);
  ok(held.length >= 300 - 2 * PROMPT && held.length <= 300 - PROMPT, `${held.length} were held`);
  ok(latenciesOf(held.map(({ ms }) => ms)).max < 6_000);
  // who has done nothing comes in at once
  const started = performance.now();
  const newcomer = await target.socket("newcomer");
  ok(performance.now() - started < 1_000);
  await newcomer.close();
  await innocents.requireUnharmed(1_000);
  target.requireNoFaults();
});

Deno.test("commands that sign in with a bad token are refused late too, while very many are", async () => {
  await using target = await startTarget({ SOCKET_MAX_UNAUTHENTICATED: "1000" });
  const sockets = await Promise.all(
    Array.from({ length: 80 }, () => connectSocket(target.node.url, undefined)),
  );
  const waits = await Promise.all(sockets.map(async (socket) => {
    const started = performance.now();
    const fault = await socket.call("authenticate", { token: "nonsense" }).catch((fault) => fault);
    strictEqual(fault.code, "unauthenticated");
    strictEqual((await socket.untilClosed()).code, 4401);
    return performance.now() - started;
  }));
  const held = waits.filter((ms) => ms >= HELD_MS).length;
  ok(held >= 20 && held <= 80 - PROMPT, `${held} were held`);
  target.requireNoFaults();
});

Deno.test("a user who may have no other socket harms nobody else who signs in from his address", async () => {
  await using target = await startTarget({ SOCKET_MAX_PER_USER: "1" });
  const only = await target.socket("ada");
  for (let turn = 0; turn < 4; turn++) {
    const socket = await connectSocket(target.node.url, undefined);
    const fault = await socket.call("authenticate", { token: await signToken("ada") }).catch((fault) =>
      fault
    );
    strictEqual(fault.code, "rate_limited");
    strictEqual((await socket.untilClosed()).code, 4009);
  }
  const bob = await connectSocket(target.node.url, undefined);
  await bob.call("authenticate", { token: await signToken("bob") });
  await bob.close();
  await only.close();
  target.requireNoFaults();
});

Deno.test("who floods after his token was not taken has done harm by his address", async () => {
  await using target = await startTarget();
  for (let turn = 0; turn < 2; turn++) {
    const client = await RawClient.open(target.port);
    client.answersClose = false;
    await client.send({ event: "authenticate", id: 1, data: { token: "nonsense" } });
    const part = frame({ opcode: OPCODE.text, fin: false, payload: new Uint8Array(60_000) });
    const more = frame({ opcode: OPCODE.continuation, fin: false, payload: new Uint8Array(60_000) });
    for (let bytes = part; await client.write(bytes) && client.ended === undefined;) bytes = more;
    await target.untilCuts("a message without end", turn + 1);
    client.close();
  }
  await rejects(() => RawClient.open(target.port), /429/);
  target.requireNoFaults();
});

Deno.test("Tarpit holds what a client did, not what passes; when it is drained it holds nobody", async () => {
  const tarpit = new Tarpit();
  const refused = new ChatError("rate_limited");
  for (let i = 0; i < PROMPT; i++) await tarpit.hold(refused);
  for (
    const fault of [new ChatError("busy"), new ChatError("invalid_request"), new Error("ours"), undefined]
  ) {
    await tarpit.hold(fault);
  }
  strictEqual(tarpit.waiting, 0);
  const held = Array.from({ length: 10 }, () => tarpit.hold(refused));
  strictEqual(tarpit.waiting, 10);
  const started = performance.now();
  tarpit.drain();
  await Promise.all(held);
  await tarpit.hold(refused);
  const full = new Tarpit(() => false);
  for (let i = 0; i < 2 * PROMPT; i++) await full.hold(refused);
  ok(performance.now() - started < HELD_MS / 2);
  strictEqual(tarpit.waiting, 0);
});

Deno.test("Tarpit holds 2,000 and no more, and lets each go by itself", async () => {
  using tarpit = new Tarpit();
  const refused = new ChatError("unauthenticated");
  for (let i = 0; i < PROMPT; i++) await tarpit.hold(refused);
  let told = 0;
  const held = Array.from({ length: 2_500 }, () => tarpit.hold(refused).then(() => told++));
  await pause(10);
  strictEqual(tarpit.waiting, 2_000);
  strictEqual(told, 500);
  await Promise.all(held);
  strictEqual(tarpit.waiting, 0);
});

Deno.test("spread() is never sooner, and not the same for all", () => {
  const times = Array.from({ length: 1_000 }, () => spread(100));
  ok(times.every((ms) => ms >= 100 && ms <= 140));
  ok(Math.max(...times) - Math.min(...times) > 20);
});
