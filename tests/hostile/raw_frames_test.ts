/**
 * Frames that no library would send, one connection each: what ends, ends that connection only; a neighbour who
 * chats meanwhile hears everything. What RFC 6455 allows stays harmless.
 */
import { ok } from "node:assert/strict";
import {
  closeFrame,
  frame,
  handshake,
  joinBytes,
  OPCODE,
  RawClient,
  textFrame,
  toBytes,
} from "../helpers/raw_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { MIB, pause, startTarget } from "./target.ts";

/** What becomes of the connection: the codes with which it may be closed, `cut` without one, `open` if it goes on. */
type End = string | number;

interface Case {
  name: string;
  bytes: Uint8Array;
  ends: End[];
}

const command = (id: number) => textFrame({ event: "list_rooms", id });
const bytes = (...values: number[]) => new Uint8Array(values);
const { continuation, binary, close, ping, pong } = OPCODE;

/** What the runtime takes for harmless though RFC 6455 would end it: it looks at no mask, and lets a close be long. */
const LENIENT: Case[] = [
  { name: "an unmasked text frame", bytes: frame({ masked: false, payload: "{}" }), ends: ["open"] },
  { name: "an unmasked ping", bytes: frame({ opcode: ping, masked: false, payload: "x" }), ends: ["open"] },
  {
    name: "a length in 16 bits that fits in 7",
    bytes: frame({ lengthBytes: 2, payload: "{}" }),
    ends: ["open"],
  },
  {
    name: "a length in 64 bits that fits in 7",
    bytes: frame({ lengthBytes: 8, payload: "{}" }),
    ends: ["open"],
  },
  {
    name: "an unmasked close",
    bytes: frame({ opcode: close, masked: false, payload: bytes(3, 232) }),
    ends: [1000],
  },
  { name: "a close of 126 bytes", bytes: closeFrame(1000, "a".repeat(124)), ends: [1000] },
  { name: "a close of one byte", bytes: frame({ opcode: close, payload: bytes(3) }), ends: ["cut"] },
];

const HARMLESS: Case[] = [
  { name: "an empty text frame", bytes: frame({ payload: "" }) },
  { name: "an empty binary frame", bytes: frame({ opcode: binary, payload: "" }) },
  { name: "a message of 1 MiB", bytes: frame({ payload: new Uint8Array(MIB).fill(32) }) },
  { name: "a pong nobody asked for", bytes: frame({ opcode: pong, payload: "x" }) },
  {
    name: "10,000 pings",
    bytes: joinBytes(...new Array(10_000).fill(frame({ opcode: ping, payload: "x" }))),
  },
  {
    name: "a character split over two fragments",
    bytes: joinBytes(
      frame({ fin: false, payload: joinBytes(toBytes('{"event":"'), bytes(0xe2, 0x82)) }),
      frame({ opcode: continuation, payload: joinBytes(bytes(0xac), toBytes('","id":1}')) }),
    ),
  },
  {
    name: "a ping inside a fragmented message",
    bytes: joinBytes(
      frame({ fin: false, payload: '{"event":"list_rooms",' }),
      frame({ opcode: ping, payload: "x" }),
      frame({ opcode: continuation, payload: '"id":1}' }),
    ),
  },
  {
    name: "empty fragments",
    bytes: joinBytes(
      frame({ fin: false, payload: "" }),
      ...new Array(50).fill(frame({ opcode: continuation, fin: false, payload: "" })),
      frame({ opcode: continuation, payload: '{"event":"list_rooms","id":1}' }),
    ),
  },
].map((each) => ({ ...each, ends: ["open"] }));

/** The runtime ends these without a word. */
const WRONG: Case[] = [
  ...[1, 2, 4, 7].map((reserved) => ({
    name: `reserved bits ${reserved}`,
    bytes: frame({ reserved, payload: "{}" }),
  })),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({
    name: `reserved opcode ${opcode}`,
    bytes: frame({ opcode, payload: "{}" }),
  })),
  { name: "text that is no UTF-8", bytes: frame({ payload: bytes(0xc3, 0x28) }) },
  { name: "text with half a surrogate pair in UTF-8", bytes: frame({ payload: bytes(0xed, 0xa0, 0x80) }) },
  { name: "text with an overlong NUL", bytes: frame({ payload: bytes(0xc0, 0x80) }) },
  { name: "text cut in the middle of a character", bytes: frame({ payload: bytes(0xe2, 0x82) }) },
  { name: "a close reason that is no UTF-8", bytes: closeFrame(1000, bytes(0xff, 0xfe)) },
  { name: "a length of 2^63", bytes: frame({ lengthBytes: 8, claimedLength: 2n ** 63n, payload: "{}" }) },
  { name: "a length of 2^64 - 1", bytes: frame({ lengthBytes: 8, claimedLength: 2n ** 64n - 1n }) },
  { name: "a length of 2^31", bytes: frame({ lengthBytes: 8, claimedLength: 2n ** 31n }) },
  { name: "a length of 65 MiB", bytes: frame({ lengthBytes: 8, claimedLength: 65n * BigInt(MIB) }) },
  { name: "a ping of 126 bytes", bytes: frame({ opcode: ping, payload: new Uint8Array(126) }) },
  { name: "a fragmented ping", bytes: frame({ opcode: ping, fin: false, payload: "a" }) },
  { name: "a fragmented close", bytes: frame({ opcode: close, fin: false, payload: bytes(3, 232) }) },
  { name: "a continuation of nothing", bytes: frame({ opcode: continuation, payload: "{}" }) },
  {
    name: "a continuation of nothing that goes on",
    bytes: frame({ opcode: continuation, fin: false, payload: "{" }),
  },
  {
    name: "a new message inside a fragmented one",
    bytes: joinBytes(frame({ fin: false, payload: "{" }), frame({ payload: "{}" })),
  },
  { name: "bytes that are no frame", bytes: toBytes("GET / HTTP/1.1\r\n\r\n") },
  { name: "a close without a code", bytes: frame({ opcode: close, payload: "" }) },
].map((each) => ({ ...each, ends: ["cut"] }));

const CLOSED: Case[] = [
  { name: "a message of 1 MiB + 1", bytes: frame({ payload: new Uint8Array(MIB + 1).fill(32) }), code: 1009 },
  {
    name: "a message of 350,000 characters of 3 bytes",
    bytes: frame({ payload: "\u20ac".repeat(350_000) }),
    code: 1009,
  },
  {
    name: "1 MiB + 1 of binary",
    bytes: frame({ opcode: binary, payload: new Uint8Array(MIB + 1) }),
    code: 1009,
  },
  ...[1012, 3000, 4999].map((code) => ({
    name: `a close with ${code}`,
    bytes: closeFrame(code, "bye"),
    code,
  })),
  { name: "two closes", bytes: joinBytes(closeFrame(1000), closeFrame(1001)), code: 1000 },
  { name: "a command after a close", bytes: joinBytes(closeFrame(1000), command(1)), code: 1000 },
  ...[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code) => ({
    name: `a close with ${code}`,
    bytes: closeFrame(code, "bye"),
    code: 1002,
  })),
].map(({ code, ...each }) => ({ ...each, ends: [code] }));

Deno.test("a frame that should not be ends its own connection at most", async (t) => {
  await using target = await startTarget();
  await using innocents = await target.innocents(2);
  const token = await signToken("mallory");
  for (const { name, bytes, ends } of [...LENIENT, ...HARMLESS, ...WRONG, ...CLOSED]) {
    await t.step(name, async () => {
      const client = await RawClient.open(target.port, { token });
      await client.next(({ event }) => event === "hello", "hello");
      await client.write(joinBytes(bytes, command(99)));
      const isAnswered = () => client.messages.some(({ ack }) => ack === 99);
      await client.until(() => client.ended !== undefined || isAnswered(), "an answer or the end");
      const end: End = isAnswered() ? "open" : client.closeFrame?.code ?? "cut";
      ok(ends.includes(end), `${end}, not ${ends.join(" or ")}`);
      client.close();
      await target.untilGone([client], 3_000);
    });
  }
  await innocents.requireUnharmed();
  target.requireNoFaults();
});

Deno.test("half a frame, then silence, an end or a reset: its place is given back", async () => {
  await using target = await startTarget({ SOCKET_PING_INTERVAL: "1000", SOCKET_PING_TIMEOUT: "1000" });
  await using innocents = await target.innocents(2);
  const token = await signToken("mallory");
  const whole = frame({ payload: JSON.stringify({ event: "list_rooms", id: 1 }), lengthBytes: 8 });
  const open = async (length: number): Promise<RawClient> => {
    const client = await RawClient.open(target.port, { token });
    await client.next(({ event }) => event === "hello", "hello");
    await client.write(whole.subarray(0, length));
    return client;
  };
  const lengths = [1, 2, 5, 10, 13, 14, 15, whole.length - 1];
  const ended = await Promise.all(lengths.map(open));
  ended.forEach((client) => client.close());
  await target.untilGone(ended, 2_000);
  // what they are told is never read: their end is a reset
  const reset = await Promise.all(lengths.map(async (length) => {
    const client = await RawClient.connect(target.port);
    await client.write(joinBytes(toBytes(handshake({ token })), whole.subarray(0, length)));
    return client;
  }));
  await pause(200);
  reset.forEach((client) => client.close());
  await target.untilGone(reset, 2_000);
  const silent = await Promise.all(lengths.map(open));
  await target.untilGone(silent, 8_000); // it answers no ping
  silent.forEach((client) => client.close());
  await innocents.requireUnharmed();
  target.requireNoFaults();
});
