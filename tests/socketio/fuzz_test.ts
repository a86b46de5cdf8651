/**
 * Bad packets and payloads at a real node, by WebSocket and by polling: no crash, no 500, nothing unhandled, no session
 * that is left behind; a hundred thousand of them leave memory as it was, and an honest client is served all the time.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { io } from "socket.io-client";
import { SocketIoEnd } from "../helpers/socketio_end.ts";
import { signToken } from "../helpers/test_app.ts";
import { MIB, pause, startTarget, type Target } from "../hostile/target.ts";
import { badPackets, badPayload, badQuery } from "./bad_packets.ts";
import { type Packet, PacketSocket } from "./conformance/packet_socket.ts";
import { address, type Answer, ask, PollingSession, SEPARATOR } from "./conformance/polling.ts";

/** A hundred times as many find no more than a minute longer: FUZZ_RUNS. */
const RUNS = Number(Deno.env.get("FUZZ_RUNS") ?? 60);

/** Whatever was said to garbage. */
function requireHarmless({ status, text }: Pick<Answer, "status" | "text">, asked: unknown): void {
  const told = () => `${status} ${text.slice(0, 300)} to ${JSON.stringify(asked).slice(0, 500)}`;
  ok(status < 500, told());
  ok(!/"code":"internal"/.test(text), told());
}

class Attacker implements AsyncDisposable {
  readonly base: string;
  readonly #tokens: readonly string[];
  #sessions = 0;
  #socket: PacketSocket | undefined;
  #polling: PollingSession | undefined;
  #id = 0;
  /** Ends of sessions that were the answer. */
  closes = 0;
  /** Of what a flood brought by WebSocket. */
  answered = 0;

  constructor(target: Target, tokens: readonly string[]) {
    this.base = `${target.node.url}/socket.io/`;
    this.#tokens = tokens;
  }

  /** As another user each time. */
  connect(): string {
    const token = this.#tokens[this.#sessions++ % this.#tokens.length];
    return `40${JSON.stringify({ token })}`;
  }

  async #connected(): Promise<PacketSocket> {
    const socket = await PacketSocket.session(this.base);
    socket.send(this.connect());
    const told = String(await socket.next());
    ok(told.startsWith("40{"), told);
    return socket;
  }

  /** The frames, and what is said until an honest command after them is answered, or until the close. */
  async byWebSocket(frames: readonly Packet[]): Promise<void> {
    const socket = this.#socket ??= await this.#connected();
    const ack = `43${++this.#id}[`;
    for (const frame of frames) socket.send(typeof frame === "string" ? frame : Uint8Array.from(frame));
    socket.send(`42${this.#id}["list_blocked",{}]`);
    for (;;) {
      const packet = await socket.next().catch((fault: Error) => {
        if (!socket.isClosed) {
          throw new Error(`${fault.message}, for ${JSON.stringify(frames).slice(0, 500)}`);
        }
        return undefined;
      });
      if (packet === undefined) break;
      requireHarmless({ status: 200, text: String(packet) }, frames);
      if (String(packet).startsWith(ack)) return;
    }
    this.closes++;
    this.#socket = undefined;
  }

  /** Likewise, by a POST. */
  async byPolling(payload: string): Promise<void> {
    const session = this.#polling ??= await this.#polled();
    const answers = [await session.post(payload)];
    if (answers[0]?.status === 200) answers.push(await session.post(`42${++this.#id}["list_blocked",{}]`));
    const ack = `43${this.#id}[`;
    while (
      answers.at(-1)?.status === 200 && !answers.at(-1)?.text.split(SEPARATOR).some((p) => p.startsWith(ack))
    ) {
      answers.push(await session.poll());
      if (answers.at(-1)?.text.includes("\x1e2") || answers.at(-1)?.text === "2") await session.post("3");
    }
    for (const answer of answers) requireHarmless(answer, payload);
    if (answers.at(-1)?.status === 200) return;
    this.closes++;
    this.#polling = undefined;
  }

  async #polled(): Promise<PollingSession> {
    const session = await PollingSession.open(this.base);
    await session.send(this.connect());
    const [answer = ""] = await session.take(1);
    ok(answer.startsWith("40{"), answer);
    return session;
  }

  /** A batch that is not waited for: as much as the server takes before it has had enough. */
  async flood(frames: readonly Packet[], times: number): Promise<number> {
    const socket = await this.#connected();
    for (let i = 0; i < times; i++) {
      for (const frame of frames) socket.send(typeof frame === "string" ? frame : Uint8Array.from(frame));
    }
    socket.send("1");
    while (await socket.next().catch(() => undefined) !== undefined) this.answered++;
    await socket.untilClosed();
    return frames.length * times;
  }

  async floodByPolling(packets: readonly string[], times: number): Promise<number> {
    const session = await this.#polled();
    const payload = new Array<readonly string[]>(times).fill(packets).flat().join(SEPARATOR);
    requireHarmless(await session.post(payload), packets);
    await session.post("1");
    return packets.length * times;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket?.[Symbol.asyncDispose]();
    await this.#polling?.post("1");
  }
}

/** One who does nothing wrong, and notices. */
class Honest implements AsyncDisposable {
  readonly #socket;
  readonly #end: SocketIoEnd;
  readonly #faults: string[] = [];

  constructor(url: string, token: string) {
    this.#socket = io(url, { auth: { token }, forceNew: true });
    this.#end = new SocketIoEnd(this.#socket);
    // a node that has more to do than it can says so, and the client tries again; who is in stays in
    this.#socket.on("disconnect", (reason) => this.#faults.push(reason));
  }

  async requireServed(): Promise<void> {
    const answer = await this.#socket.timeout(5_000).emitWithAck("list_rooms", {});
    ok(Array.isArray(answer.rooms), JSON.stringify(answer));
    deepStrictEqual(this.#faults, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end.come();
  }
}

const ATTACKERS = 200;
const ATTACHMENT = "bAQ==";
const HOLE = '{"_placeholder":true,"num":0}';
/** None of them ends a session. */
const BAD = [
  ...['42["unknown",1]', '421["send_message",{"content":1}]', '422["join_room",{"roomId":"__proto__"}]'],
  `42["send_message",${"[".repeat(500)}${"]".repeat(500)}]`,
  ...[`451-["send_message",${HOLE}]`, ATTACHMENT, `461-7[${HOLE}]`, ATTACHMENT],
  ...["43999[1]", "431[]", '43["x"]', "6"],
];

Deno.test("bad packets at the Socket.IO door are refused, and cost nobody else anything", async (t) => {
  await using target = await startTarget();
  // one would be kept out after the second flood
  const tokens = await Promise.all(Array.from({ length: ATTACKERS }, (_, i) => signToken(`mallory${i}`)));
  await using attacker = new Attacker(target, tokens);
  await using honest = new Honest(target.node.url, await signToken("honest"));
  await honest.requireServed();

  await t.step("by WebSocket", async () => {
    const property = fc.asyncProperty(badPackets, (frames) => attacker.byWebSocket(frames));
    await fc.assert(property, { numRuns: 2 * RUNS, endOnFailure: true });
  });

  await t.step("by polling", async () => {
    const property = fc.asyncProperty(badPayload, (payload) => attacker.byPolling(payload));
    await fc.assert(property, { numRuns: 2 * RUNS, endOnFailure: true });
  });

  await t.step("requests of no session, and of others", async () => {
    const session = await PollingSession.open(attacker.base);
    const method = fc.constantFrom("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD");
    const property = fc.asyncProperty(
      badQuery([session.sid]),
      method,
      badPayload,
      async (query, verb, payload) => {
        const body = verb === "POST" || verb === "PUT" ? { body: payload } : {};
        const signal = AbortSignal.timeout(200); // a GET may wait
        const answer = await ask(address(attacker.base, query), { method: verb, ...body, signal }).catch(
          () => {},
        );
        if (answer !== undefined) requireHarmless(answer, [verb, query, payload]);
      },
    );
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });

  await t.step("two GETs, a POST after the close, another's sid", async () => {
    for (let turn = 0; turn < 10; turn++) {
      const session = await PollingSession.open(attacker.base);
      const answers = await Promise.all([session.poll(), session.poll(), session.poll(), session.post("4")]);
      for (const answer of [...answers, await session.post(attacker.connect())]) {
        requireHarmless(answer, "two GETs");
      }
      await using stray = await PacketSocket.beside(attacker.base, session.sid);
      stray.send("2probe");
      await stray.untilClosed();
    }
  });

  await t.step("100,000 bad packets leave memory as it was", async () => {
    const strike = async (times: number): Promise<number> => {
      let sent = 0;
      for (let i = 0; i < times; i++) {
        sent += await attacker.flood(
          BAD.map((packet) => packet === ATTACHMENT ? Uint8Array.of(1) : packet),
          100,
        );
        sent += await attacker.floodByPolling(BAD, 100);
        sent += await attacker.flood([
          '4510-["send_message",{"_placeholder":true,"num":0}]',
          new Uint8Array(5_000),
        ], 1);
      }
      return sent;
    };
    await strike(12); // the heap takes what it needs
    await pause(500);
    const base = target.rss().now;
    const sent = await strike(42);
    await pause(500);
    const grown = (target.rss().now - base) / MIB;
    ok(sent >= 100_000, `${sent} sent`);
    ok(grown < 50, `${grown} MiB more`);
    ok(attacker.answered > sent / 10, `${attacker.answered} answered`);
  });

  ok(attacker.closes > 0, "No session was ended");
  await honest.requireServed();
  target.requireNoFaults();
  deepStrictEqual(target.node.lines.filter((line) => !line.startsWith("{")), []);
  strictEqual(target.peers().size < 50, true);
});
