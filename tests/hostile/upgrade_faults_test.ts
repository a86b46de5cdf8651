/**
 * A failure at every point of the upgrade and in every handler: the process lives, the client gets an answer, the log
 * names it. It runs in a process without handlers of last resort, since what escapes ends it.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { SpeakingChild } from "../helpers/child_process.ts";
import {
  closeFrame,
  frame,
  handshake,
  OPCODE,
  RawClient,
  textFrame,
  toBytes,
} from "../helpers/raw_client.ts";
import { pause } from "./target.ts";

class Node implements AsyncDisposable {
  readonly #child: SpeakingChild;
  port = 0;
  /** What can be planted. */
  faults: string[] = [];

  constructor() {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", new URL("./upgrade_faults_node.ts", import.meta.url).pathname],
      stdout: "piped",
      stderr: "piped",
    });
    this.#child = new SpeakingChild(command.spawn());
  }

  async ready(): Promise<void> {
    const { input } = await this.#child.untilSaid(/server\.listening/);
    ({ port: this.port, faults: this.faults } = JSON.parse(input));
  }

  get lines(): readonly string[] {
    return this.#child.lines;
  }

  async requireAlive(): Promise<void> {
    ok(!this.#child.hasEnded, `The process ended: ${this.lines.slice(-20).join("\n")}`);
    const client = await RawClient.open(this.port, { token: "t" });
    await client.send({ event: "list_rooms", id: 1 });
    await client.next(({ ack }) => ack === 1);
    client.close();
  }

  /** Lines that name what was planted. */
  naming(where: string, from = 0): string[] {
    return this.lines.slice(from).filter((line) => line.includes(`"fault":"Planted","text":"${where}"`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

async function startNode(): Promise<Node> {
  await using parts = new AsyncDisposableStack();
  const node = parts.use(new Node());
  await node.ready();
  parts.move();
  return node;
}

/** Answered before the upgrade, as REST would: its status, and what the log names. */
const REFUSED: Record<string, { status: number; names?: string }> = {
  "auth throws": { status: 500, names: "auth" },
  "auth rejects": { status: 500, names: "auth" },
  "auth rejects with undefined": { status: 500 },
  "mayConnectFrom throws": { status: 500, names: "mayConnectFrom" },
  "admission throws": { status: 500, names: "admission" },
  "tarpit.hold throws": { status: 500, names: "tarpit.hold" },
  "work.overloaded throws": { status: 500, names: "overloaded" },
  "warden.isCrowded throws": { status: 500, names: "isCrowded" },
  "warden.watch throws": { status: 500, names: "warden.watch" },
  "auth and the log throw": { status: 500 },
  "warden.watch and the log throw": { status: 500 },
};

/** Upgraded: what the client is told of its command, or the code of the close. */
const UPGRADED: Record<string, { error?: string; ack?: true; code?: number; names?: string }> = {
  "auth takes its time": { ack: true },
  "the ticket's end throws": { ack: true, names: "ticket.end" },
  "the ticket's signIn throws": { ack: true },
  "work.add throws": { code: 1012, names: "work.add" },
  "work.drop throws": { ack: true, names: "work.drop" },
  "the watch's closing throws": { ack: true },
  "the watch's end throws": { ack: true, names: "watch.end" },
  "connections.open throws": { code: 1012, names: "open" },
  "connections.open rejects": { code: 1012, names: "open" },
  "commands.run throws": { error: "internal", names: "run" },
  "commands.run rejects": { error: "internal", names: "run" },
  "commands.run rejects with undefined": { error: "internal" },
  "commands.run answers what is no text": { error: "internal" },
  "the connection's end throws": { ack: true, names: "live.end" },
  "the log throws": { ack: true },
  "commands.run and the log throw": { error: "internal" },
};

Deno.test("whatever fails in the door, the process lives, the client is answered and the log names it", async (t) => {
  await using node = await startNode();
  deepStrictEqual([...node.faults].sort(), [...Object.keys(REFUSED), ...Object.keys(UPGRADED)].sort());
  for (const [fault, expected] of Object.entries(REFUSED)) {
    await t.step(fault, async () => {
      const from = node.lines.length;
      using client = await RawClient.connect(node.port);
      const origin = { origin: "https://example.org" };
      await client.write(toBytes(handshake({ token: "t", headers: { "x-fault": fault, ...origin } })));
      const { status, body } = await client.readAnswer();
      strictEqual(status, expected.status, body);
      const { error } = JSON.parse(body);
      strictEqual(error.code, "internal");
      await node.requireAlive();
      if (expected.names !== undefined) {
        strictEqual(node.naming(expected.names, from).length, 1, node.lines.join("\n"));
      } else if (!fault.includes("log throw") && status === 500) {
        strictEqual(node.lines.slice(from).filter((line) => line.includes("upgrade.fault")).length, 1);
      }
      if (status === 500 && !fault.includes("log throw")) {
        ok(node.lines.slice(from).some((line) => line.includes(error.requestId)));
      }
    });
  }
  for (const [fault, expected] of Object.entries(UPGRADED)) {
    await t.step(fault, async () => {
      const from = node.lines.length;
      const client = await RawClient.open(node.port, { token: "t", headers: { "x-fault": fault } });
      await client.send({ event: "list_rooms", id: 1 });
      if (expected.code === undefined) {
        const { error } = await client.next(({ ack }) => ack === 1);
        strictEqual(error?.code, expected.error);
        await client.send({ event: "list_rooms", id: 2 });
        await client.next(({ ack }) => ack === 2);
        await client.write(closeFrame(1000));
      }
      const ended = await client.untilEnded();
      strictEqual(ended.code, expected.code ?? 1000);
      client.close();
      await node.requireAlive();
      await pause(50);
      if (expected.names !== undefined) {
        ok(node.naming(expected.names, from).length >= 1, node.lines.join("\n"));
      }
    });
  }
});

Deno.test("a handler that throws ends its own socket, and is named", async (t) => {
  await using node = await startNode();
  const provoke: Record<string, Uint8Array> = {
    opened: new Uint8Array(),
    received: textFrame({ event: "list_rooms" }),
    receivedBinary: frame({ opcode: OPCODE.binary, payload: "x" }),
    ended: closeFrame(1000),
  };
  for (const [which, bytes] of Object.entries(provoke)) {
    await t.step(which, async () => {
      const client = await RawClient.open(node.port, { path: "/listener", headers: { "x-fault": which } });
      await client.write(bytes);
      const { code } = await client.untilEnded();
      strictEqual(code, which === "ended" ? 1000 : 1012);
      client.close();
      await pause(50);
      strictEqual(node.naming(which).length, 1);
      await node.requireAlive();
    });
  }
});

const withHeader = (name: string, value: string | undefined) =>
  value === undefined
    ? handshake().replace(new RegExp(`${name}: .*\r\n`), "")
    : handshake({ headers: { [name]: value } });
const many = (count: number, line: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join("");

/** What is no handshake: bytes, and the status of the answer. */
const ODD_REQUESTS: Record<string, { bytes: string; status: number }> = {
  "no Upgrade": { bytes: withHeader("Upgrade", undefined), status: 426 },
  "Upgrade to something else": { bytes: withHeader("Upgrade", "h2c"), status: 426 },
  "no Connection": { bytes: withHeader("Connection", undefined), status: 400 },
  "Connection: close": { bytes: withHeader("Connection", "close"), status: 400 },
  "no key": { bytes: withHeader("Sec-WebSocket-Key", undefined), status: 400 },
  "a key that is too short": { bytes: withHeader("Sec-WebSocket-Key", "dGhl"), status: 400 },
  "a key of 4,000 characters": { bytes: withHeader("Sec-WebSocket-Key", "A".repeat(4_000)), status: 400 },
  "a key that is no base64": { bytes: withHeader("Sec-WebSocket-Key", "é".repeat(12) + "=="), status: 400 },
  "two keys": {
    bytes: handshake().replace("\r\n\r\n", "\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
    status: 400,
  },
  "version 8": { bytes: withHeader("Sec-WebSocket-Version", "8"), status: 426 },
  "no version": { bytes: withHeader("Sec-WebSocket-Version", undefined), status: 426 },
  "two versions": { bytes: withHeader("Sec-WebSocket-Version", "13, 8"), status: 426 },
  "POST": { bytes: handshake().replace("GET", "POST"), status: 405 },
  "HEAD": { bytes: handshake().replace("GET", "HEAD"), status: 405 },
  "OPTIONS": { bytes: handshake().replace("GET", "OPTIONS"), status: 405 },
  "a method of its own": { bytes: handshake().replace("GET", "FNORD"), status: 405 },
  "a body": { bytes: handshake({ headers: { "Content-Length": "5" } }) + "hello", status: 400 },
  "a chunked body": {
    bytes: handshake({ headers: { "Transfer-Encoding": "chunked" } }) + "5\r\nhello\r\n0\r\n\r\n",
    status: 400,
  },
  "a body that never comes": { bytes: handshake({ headers: { "Content-Length": "5" } }), status: 400 },
  "two Upgrade lines": {
    bytes: handshake().replace("\r\n\r\n", "\r\nUpgrade: websocket\r\n\r\n"),
    status: 101,
  },
  "HTTP/1.0": { bytes: handshake().replace("HTTP/1.1", "HTTP/1.0"), status: 101 },
  "no Host": { bytes: withHeader("Host", undefined), status: 101 },
  "Expect: 100-continue": { bytes: withHeader("Expect", "100-continue"), status: 101 },
  "a protocol nobody speaks": { bytes: handshake({ protocol: "soap" }), status: 400 },
  "a header of 1 MiB": { bytes: withHeader("X-Long", "a".repeat(1_048_576)), status: 400 },
  "2,000 headers": {
    bytes: handshake().replace("\r\n\r\n", `\r\n${many(2_000, (i) => `X-${i}: a\r\n`)}\r\n`),
    status: 400,
  },
  "a line that is no header": {
    bytes: handshake().replace("\r\n\r\n", "\r\nno header\r\n\r\n"),
    status: 400,
  },
  "a header with a NUL": { bytes: withHeader("X-Odd", "a\0b"), status: 400 },
};

Deno.test("what is no handshake is told so, and ends nothing but itself", async (t) => {
  await using node = await startNode();
  for (const [name, { bytes, status }] of Object.entries(ODD_REQUESTS)) {
    await t.step(name, async () => {
      using client = await RawClient.connect(node.port);
      await client.write(toBytes(bytes));
      const head = await client.readHead().catch((fault) => {
        // the runtime answers before it has read all, and what is left unread makes its end a reset
        if (bytes.length > 10_000) return { status, text: String(fault) };
        throw fault;
      });
      strictEqual(head.status, status, head.text);
      if (status === 426) {
        ok(/\r\nsec-websocket-version: 13/i.test(head.text) && /\r\nupgrade: websocket/i.test(head.text));
      }
      await node.requireAlive();
    });
  }
  await t.step("HTTP/2 with an Upgrade", async () => {
    using client = await RawClient.connect(node.port);
    await client.write(http2Upgrade());
    client.startReading();
    await pause(100);
    await node.requireAlive();
  });
  deepStrictEqual(node.lines.filter((line) => /"level":"error"/.test(line)), []);
});

Deno.test("a client that hangs up in the middle of the upgrade leaves nothing behind", async () => {
  await using node = await startNode();
  const slow = handshake({ token: "t", headers: { "x-fault": "auth takes its time" } });
  const open = async (bytes: string): Promise<RawClient> => {
    const client = await RawClient.connect(node.port);
    await client.write(toBytes(bytes));
    return client;
  };
  const count = async (): Promise<number> => {
    const counts: number[] = await (await fetch(`http://127.0.0.1:${node.port}/sockets`)).json();
    return counts.reduce((sum, each) => sum + each, 0);
  };
  // while the token is read, and just before and after the answer
  for (
    const [bytes, afterMs] of [[slow, 50], [slow, 390], [slow, 400], [slow, 410], [handshake(), 0]] as const
  ) {
    const clients = await Promise.all(Array.from({ length: 10 }, () => open(bytes)));
    await pause(afterMs);
    clients.forEach((client) => client.close());
  }
  await pause(600);
  await node.requireAlive();
  // the runtime says nothing of those: their places are given back after 10 s
  const started = performance.now();
  while (await count() > 0) {
    ok(performance.now() - started < 14_000, `${await count()} sockets are still there`);
    await pause(200);
  }
  // a user may have 5 of them
  const clients = await Promise.all(
    Array.from({ length: 5 }, () => RawClient.open(node.port, { token: "t" })),
  );
  clients.forEach((client) => client.close());
  deepStrictEqual(node.lines.filter((line) => /"level":"error"/.test(line)), []);
});

/** A stream of HTTP/2 that asks for what HTTP/2 does not have. */
function http2Upgrade(): Uint8Array<ArrayBuffer> {
  const text = (value: string) => [value.length, ...toBytes(value)];
  const headers = [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/ws"],
    [":authority", "a"],
    ["upgrade", "websocket"],
    ["connection", "Upgrade"],
    ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
    ["sec-websocket-version", "13"],
  ].flatMap(([name = "", value = ""]) => [0, ...text(name), ...text(value)]);
  const part = (type: number, flags: number, stream: number, payload: number[]) => [
    ...[
      payload.length >> 16,
      (payload.length >> 8) & 255,
      payload.length & 255,
      type,
      flags,
      0,
      0,
      0,
      stream,
    ],
    ...payload,
  ];
  const preface = toBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  return new Uint8Array([...preface, ...part(4, 0, 0, []), ...part(1, 5, 1, headers)]);
}
