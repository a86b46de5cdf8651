/** One client that asks for more than its share, with the rates of production: refused, then closed, and told why. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { frame, handshake, joinBytes, OPCODE, RawClient, textFrame, toBytes } from "../helpers/raw_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { connectSocket, type TestSocket } from "../helpers/test_socket.ts";
import { MIB, RSS_MARGIN_BYTES, startTarget, type Target } from "./target.ts";

/** The rates of production; a machine that is busy with something else is not what sheds here. */
const RATES = { CHAT_RATE_COMMANDS: "100", CHAT_RATE_CHANGES: "5", CHAT_OVERLOAD_LAG: "0" };

function repeated(bytes: Uint8Array, times: number): Uint8Array {
  return joinBytes(...new Array(times).fill(bytes));
}

async function openAs(target: Target, user: string): Promise<RawClient> {
  const client = await RawClient.open(target.port, { token: await signToken(user) });
  await client.next(({ event }) => event === "hello", "hello");
  return client;
}

interface CommandFlood {
  name: string;
  /** So many of these, at once and without waiting for anything. */
  bytes: Uint8Array;
  times: number;
}

/** What is gone at once on a quiet machine may take so long on a busy one. */
const WITHIN_MS = 20_000;
/** The work that one such client may make, however busy the machine is; to serve it all would be many times as much. */
const CPU_MAX_S = 2;

const FLOODS: CommandFlood[] = [
  { name: "100,000 commands", bytes: textFrame({ event: "list_rooms", id: 1 }), times: 100_000 },
  {
    name: "100,000 commands without an id",
    bytes: textFrame({ event: "list_rooms" }),
    times: 100_000,
  },
  {
    name: "100,000 unknown commands",
    bytes: textFrame({ event: "constructor", id: 1 }),
    times: 100_000,
  },
  { name: "100,000 frames that are no JSON", bytes: frame({ payload: "{" }), times: 100_000 },
  {
    name: "100,000 binary frames",
    bytes: frame({ opcode: OPCODE.binary, payload: "{}" }),
    times: 100_000,
  },
  {
    name: "5,000 frames of 100 KiB",
    bytes: textFrame({ event: "send_message", data: { content: "a".repeat(100_000) }, id: 1 }),
    times: 5_000,
  },
];

Deno.test("a client that floods commands is closed with 4009, and nobody else notices", async (t) => {
  await using target = await startTarget(RATES);
  await using innocents = await target.innocents();
  const base = target.rss().now;
  for (const [i, { name, bytes, times }] of FLOODS.entries()) {
    await t.step(name, async () => {
      target.forgetPeak();
      using client = await openAs(target, `mallory${i}`); // the same one would be kept out in the end
      const piece = repeated(bytes, Math.max(1, Math.min(500, Math.floor(MIB / bytes.length))));
      const cpuBefore = target.cpuSeconds();
      let left = Math.ceil(times * bytes.length / piece.length);
      while (left-- > 0 && client.closeFrame === undefined && await client.write(piece));
      await client.until(() => client.closeFrame !== undefined, "the close", WITHIN_MS);
      strictEqual(client.closeFrame?.code, 4009);
      await target.untilGone([client], WITHIN_MS);
      const cpu = target.cpuSeconds() - cpuBefore;
      ok(cpu < CPU_MAX_S, `The node worked for ${cpu} s`);
      const above = (target.rss().peak - base) / MIB;
      ok(above < RSS_MARGIN_BYTES / MIB, `${above} MiB above the base`);
    });
  }
  await innocents.requireUnharmed();
  target.requireNoFaults();
});

Deno.test("a client that had 3,000 commands on the way reads why it was closed", async () => {
  await using target = await startTarget({ CHAT_OVERLOAD_LAG: "0" });
  const floods: [name: string, one: (ada: TestSocket) => void][] = [
    ["commands", (ada) => ada.emit("list_rooms", {})],
    ["commands with an id", (ada) => void ada.call("list_rooms", {}).catch(() => {})],
    ["what is no JSON", (ada) => ada.raw("{")],
    ["binary frames", (ada) => ada.raw(new Uint8Array(10))],
  ];
  for (const [name, one] of floods) {
    for (let turn = 0; turn < 5; turn++) {
      const ada = await target.socket(`ada ${name} ${turn}`);
      for (let i = 0; i < 3_000; i++) one(ada);
      await ada.until(() => ada.closed !== undefined, "the close", WITHIN_MS);
      deepStrictEqual(ada.closed, { code: 4009, reason: "too_much" }, name);
    }
  }
  target.requireNoFaults();
});

Deno.test("a client that asks faster than its rate is told rate_limited and when to come back; if it never listens it is closed", async () => {
  await using target = await startTarget(RATES);
  using client = await openAs(target, "mallory");
  const started = performance.now();
  let id = 0;
  // a hundred under way at a time
  while (client.closeFrame === undefined && performance.now() - started < WITHIN_MS) {
    const commands = Array.from({ length: 100 }, () => textFrame({ event: "list_rooms", id: ++id }));
    await client.write(joinBytes(...commands));
    const isAnswered = () => client.closeFrame !== undefined || client.framesRead > id;
    await client.until(isAnswered, "the answers", WITHIN_MS);
  }
  strictEqual(client.closeFrame?.code, 4009);
  const seconds = (performance.now() - started) / 1000;
  const codes = new Map<string, number>();
  for (const { error } of client.messages.filter(({ ack }) => ack !== undefined)) {
    codes.set(error?.code ?? "ok", (codes.get(error?.code ?? "ok") ?? 0) + 1);
    if (error !== undefined) ok(error.details.retryAfterMs > 0 && error.retryable);
  }
  deepStrictEqual([...codes.keys()].sort(), ["ok", "rate_limited"]);
  const answered = codes.get("ok") ?? 0;
  ok(answered >= 1_000 && answered <= 1_000 + 100 * (seconds + 1), `${answered} answered in ${seconds} s`);
  ok((codes.get("rate_limited") ?? 0) >= 500);

  // over REST it is the same user, and the same rate
  const mallory = await target.rest("mallory");
  let refused;
  for (let turn = 0; turn < 20 && refused === undefined; turn++) {
    const answers = await Promise.all(Array.from({ length: 300 }, () => mallory.get("/rooms")));
    refused = answers.find(({ status }) => status !== 200);
  }
  deepStrictEqual([refused?.status, refused?.body.error.code], [429, "rate_limited"]);
  const bob = await target.rest("bob");
  strictEqual((await bob.get("/rooms")).status, 200);
  target.requireNoFaults();
});

Deno.test("a client that joins and leaves as fast as it can is held to its rate; the second time it is kept out", async () => {
  await using target = await startTarget(RATES);
  await using innocents = await target.innocents();
  const { roomId } = innocents;
  const pair = joinBytes(
    textFrame({ event: "join_room", data: { roomId }, id: 1 }),
    textFrame({ event: "leave_room", data: { roomId, membership: true }, id: 2 }),
  );
  const started = performance.now();
  for (let turn = 0; turn < 2; turn++) {
    using mallory = await openAs(target, "mallory");
    for (let pairs = 25; mallory.closeFrame === undefined; pairs += 25) {
      if (!await mallory.write(repeated(pair, 25))) break;
      await mallory.until(
        () => mallory.closeFrame !== undefined || mallory.framesRead >= 2 * pairs,
        "the answers",
        WITHIN_MS,
      );
    }
    await mallory.until(() => mallory.closeFrame !== undefined, "the close", WITHIN_MS);
    strictEqual(mallory.closeFrame?.code, 4009);
  }
  const seconds = (performance.now() - started) / 1000;
  using again = await RawClient.connect(target.port);
  await again.write(toBytes(handshake({ token: await signToken("mallory") })));
  const refused = await again.readHead();
  strictEqual(refused.status, 429);
  const waitS = Number(/retry-after: (\d+)/.exec(refused.text)?.[1]);
  ok(waitS > 30 && waitS <= 60, `to come again in ${waitS} s`);
  // what they say after it, they hear after it
  await innocents.requireUnharmed();
  const [innocent] = innocents.sockets;
  const changes = [...innocent!.events("user_joined"), ...innocent!.events("user_left")]
    .filter((data) => JSON.stringify(data).includes("mallory")).length;
  ok(changes >= 30 && changes <= 50 + 5 * (seconds + 1), `${changes} changes in ${seconds} s`);
  target.requireNoFaults();
});

Deno.test("a user, an address and a connection may have so much and no more; what ends makes room", async (t) => {
  await using target = await startTarget({
    ...RATES,
    CHAT_RATE_COMMANDS: "0",
    CHAT_RATE_CHANGES: "0",
    SOCKET_MAX_PER_USER: "3",
    SOCKET_MAX_PER_ADDRESS: "12",
    SOCKET_MAX: "8",
    SOCKET_MAX_UNAUTHENTICATED: "20",
    CLIENT_ADDRESS_HEADER: "x-client",
  });
  const open = (user: string | undefined, address: string) =>
    openFrom(target, user === undefined ? undefined : signToken(user), address);

  await t.step("3 connections a user, over all addresses", async () => {
    const clients = [];
    for (let i = 0; i < 3; i++) clients.push((await open("ada", `10.0.0.${i}`)).client);
    const { status, code } = await open("ada", "10.0.0.9");
    deepStrictEqual([status, code], [429, "rate_limited"]);
    // one that signs in later counts as well
    const late = await connectSocket(target.node.url, undefined);
    const refused = await late.call("authenticate", { token: await signToken("ada") }).catch((fault) =>
      fault
    );
    strictEqual(refused.code, "rate_limited");
    strictEqual((await late.untilClosed()).code, 4009);
    clients.pop()?.close();
    await untilAdmitted(() => open("ada", "10.0.0.9"), clients);
    clients.forEach((client) => client?.close());
  });
  await t.step("8 in all: the next is told busy, and when to come back", async () => {
    const clients: (RawClient | undefined)[] = [];
    await untilAdmitted(() => open("u0", "10.1.0.0"), clients);
    for (let i = 1; i < 8; i++) await untilAdmitted(() => open(`u${i}`, `10.1.0.${i}`), clients);
    const { status, code, text } = await open("u9", "10.1.0.9");
    deepStrictEqual([status, code], [503, "busy"]);
    ok(/\r\nretry-after: 1(\r\n|$)/i.test(text));
    clients.forEach((client) => client?.close());
  });
  await t.step("the address is what a trusted proxy says; IPv6 counts by /64", async () => {
    const clients: (RawClient | undefined)[] = [];
    await untilAdmitted(() => open(undefined, "2001:db8::1"), clients);
    await untilAdmitted(() => open(undefined, "2001:db8::ffff:2"), clients);
    const { status } = await open(undefined, "2001:0db8:0:0:1::");
    strictEqual(status, 429);
    await untilAdmitted(() => open(undefined, "2001:db8:0:1::1"), clients);
    clients.forEach((client) => client?.close());
  });
  target.requireNoFaults();
});

Deno.test("a connection hears 500 rooms and no more, and has 1,000 commands under way and no more", async () => {
  await using target = await startTarget({ CHAT_OVERLOAD_LAG: "0" });
  const rooms = await Promise.all(Array.from({ length: 501 }, (_, i) => target.room("ada", `room ${i}`)));
  const ada = await target.socket("ada");
  await Promise.all(rooms.slice(0, 500).map((roomId) => ada.call("join_room", { roomId })));
  const refused = await ada.call("join_room", { roomId: rooms[500] }).catch((fault) => fault);
  strictEqual(refused.code, "conflict");
  await ada.call("leave_room", { roomId: rooms[0] });
  await ada.call("join_room", { roomId: rooms[500] });

  const answers = await Promise.allSettled(
    Array.from({ length: 900 }, () => ada.call("list_members", { roomId: rooms[1] })),
  );
  deepStrictEqual(answers.filter(({ status }) => status === "rejected"), []);
  for (let i = 0; i < 3_000; i++) ada.emit("list_members", { roomId: rooms[1] });
  await ada.until(() => ada.closed !== undefined, "the close", WITHIN_MS);
  strictEqual(ada.closed?.code, 4009);
  target.requireNoFaults();
});

interface Admitted {
  client: RawClient | undefined;
  status: number;
  code: string;
  text: string;
}

async function openFrom(
  target: Target,
  token: Promise<string> | undefined,
  address: string,
): Promise<Admitted> {
  const client = await RawClient.connect(target.port);
  const init = { headers: { "x-client": address }, ...(token === undefined ? {} : { token: await token }) };
  await client.write(toBytes(handshake(init)));
  const { status, text } = await client.readHead();
  if (status === 101) {
    client.startReading();
    return { client, status, code: "", text };
  }
  const { body } = await client.readBody();
  client.close();
  return { client: undefined, status, code: JSON.parse(body).error.code, text };
}

/** A place that has been given back is free a little later. */
async function untilAdmitted(
  open: () => Promise<Admitted>,
  clients: (RawClient | undefined)[],
): Promise<void> {
  for (let turn = 0; turn < 50; turn++) {
    const { client } = await open();
    if (client !== undefined) return void clients.push(client);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("Not admitted in time");
}
