/** The attacker: does one attack when it is told to, and tells how each of its connections ended. */
import {
  frame,
  handshake,
  joinBytes,
  OPCODE,
  RawClient,
  textFrame,
  toBytes,
} from "../../tests/helpers/raw_client.ts";
import type { Attack, AttackerAsk, AttackResult } from "./attacks.ts";
import { pause, Told } from "./child.ts";

const FRAGMENT = new Uint8Array(60_000).fill(97);
const FIRST = frame({ fin: false, payload: FRAGMENT });
const MORE = frame({ opcode: OPCODE.continuation, fin: false, payload: FRAGMENT });
/** One that never reads learns of its end only by writing: something that nobody answers. */
const NOTHING = frame({ opcode: OPCODE.pong });
const HALVES = ["", "G", "GET /ws HTTP/1.1\r\nHost: a\r\n", handshake().slice(0, -2)];
const GONE_WITHIN_MS = 15_000;
const FLOOD_WITHIN_MS = 20_000;
const RETRY_MS = 50;

class Attacker {
  readonly #ask: AttackerAsk;
  readonly #result: AttackResult = { ends: [], left: 0, refused: {}, sentBytes: 0 };
  #isOver = false;

  constructor(ask: AttackerAsk) {
    this.#ask = ask;
  }

  stop(): void {
    this.#isOver = true;
  }

  async run(): Promise<AttackResult> {
    const { attack } = this.#ask;
    if ("forMs" in attack) setTimeout(() => this.stop(), attack.forMs);
    await this.#run(attack);
    return this.#result;
  }

  #run(attack: Attack): Promise<unknown> {
    switch (attack.is) {
      case "fragments":
        return many(attack.sockets, (i) => this.#pour(attack, i));
      case "deaf":
        return this.#listenNever();
      case "handshakes":
        return many(attack.count, (i) => this.#halfShake(i));
      case "anonymous":
        return many(attack.count, (i) => this.#saySomethingNever(i));
      case "commands":
        return this.#flood(attack.count);
      case "joins":
        return this.#joinAndLeave();
    }
  }

  /** Undefined, after a little, if the door is closed to it. Addresses are many, as behind a proxy. */
  async #open(token: string | undefined, place = 0): Promise<RawClient | undefined> {
    const client = await RawClient.connect(this.#ask.port).catch(() => undefined);
    if (client === undefined) return undefined;
    const headers = { "x-client": `${this.#ask.network}.${place % 50}` };
    await client.write(toBytes(handshake({ headers, ...(token === undefined ? {} : { token }) })));
    const status = await client.readHead().then((head) => head.status, () => "cut");
    if (status === 101) return client;
    client.close();
    this.#result.refused[status] = (this.#result.refused[status] ?? 0) + 1;
    await pause(RETRY_MS);
    return undefined;
  }

  async #noteEnd(client: RawClient, started: number): Promise<void> {
    await client.untilEnded(GONE_WITHIN_MS).catch(() => {});
    client.close();
    if (client.ended === undefined) return void this.#result.left++;
    const { closeFrame, ended } = client;
    this.#result.ends.push({
      how: closeFrame?.code?.toString() ?? "reset",
      toldMs: (closeFrame?.at ?? ended.at) - started,
      goneMs: ended.at - started,
    });
  }

  async #pour(attack: Attack & { is: "fragments" }, place: number): Promise<void> {
    const lateAt = performance.now() + FLOOD_WITHIN_MS;
    const isDone = () =>
      this.#isOver &&
      (this.#result.sentBytes >= attack.mib * 1024 * 1024 || performance.now() > lateAt);
    const token = attack.signedIn ? this.#ask.tokens[place % this.#ask.tokens.length] : undefined;
    while (!isDone()) {
      const client = await this.#open(token, place);
      if (client === undefined) continue;
      client.startReading();
      const started = performance.now();
      let isOn = await client.write(FIRST);
      while (isOn && !isDone()) {
        this.#result.sentBytes += MORE.length;
        isOn = await client.write(MORE);
      }
      if (!isOn) {
        await this.#noteEnd(client, started);
        continue;
      }
      this.#result.left++;
      client.close();
    }
  }

  async #listenNever(): Promise<void> {
    const { roomId, tokens } = this.#ask;
    const join = textFrame({ event: "join_room", data: { roomId }, id: 1 });
    while (!this.#isOver) {
      const client = await this.#open(tokens[0]);
      if (client === undefined) continue;
      const started = performance.now();
      await client.write(join);
      while (!this.#isOver && await client.write(NOTHING)) await pause(20);
      const ms = performance.now() - started;
      if (this.#isOver) this.#result.left++;
      else this.#result.ends.push({ how: "reset", toldMs: ms, goneMs: ms });
      client.close();
    }
  }

  async #halfShake(place: number): Promise<void> {
    while (!this.#isOver) {
      const client = await RawClient.connect(this.#ask.port).catch(() => undefined);
      const started = performance.now();
      if (client === undefined) {
        this.#result.refused["cut"] = (this.#result.refused["cut"] ?? 0) + 1;
        await pause(RETRY_MS);
        continue;
      }
      await client.write(toBytes(HALVES[place % HALVES.length] ?? ""));
      client.startReading();
      await this.#noteEnd(client, started);
    }
  }

  async #saySomethingNever(place: number): Promise<void> {
    while (!this.#isOver) {
      const client = await this.#open(undefined, place);
      if (client === undefined) continue;
      client.startReading();
      await this.#noteEnd(client, performance.now());
    }
  }

  async #flood(count: number): Promise<void> {
    const pieceCount = 500;
    const piece = joinBytes(...new Array(pieceCount).fill(textFrame({ event: "list_rooms", id: 1 })));
    while (!this.#isOver) {
      const client = await this.#open(this.#ask.tokens[0]);
      if (client === undefined) continue;
      client.keepFrames = false;
      client.startReading();
      const started = performance.now();
      for (let sent = 0; sent < count && client.closeFrame === undefined; sent += pieceCount) {
        if (!await client.write(piece)) break;
        this.#result.sentBytes += piece.length;
      }
      await this.#noteEnd(client, started);
    }
  }

  async #joinAndLeave(): Promise<void> {
    const { roomId, tokens } = this.#ask;
    const pair = joinBytes(
      textFrame({ event: "join_room", data: { roomId }, id: 1 }),
      textFrame({ event: "leave_room", data: { roomId, membership: true }, id: 2 }),
    );
    const pairs = 25;
    const piece = joinBytes(...new Array(pairs).fill(pair));
    while (!this.#isOver) {
      const client = await this.#open(tokens[0]);
      if (client === undefined) continue;
      client.keepFrames = false;
      client.startReading();
      const started = performance.now();
      for (let due = 2 * pairs; !this.#isOver && await client.write(piece); due += 2 * pairs) {
        this.#result.sentBytes += piece.length;
        await client.until(() => client.ended !== undefined || client.framesRead >= due, "answers")
          .catch(() => {});
        if (client.closeFrame !== undefined) break;
      }
      if (client.closeFrame !== undefined || client.ended !== undefined) await this.#noteEnd(client, started);
      else {
        this.#result.left++;
        client.close();
      }
    }
  }
}

function many(count: number, one: (place: number) => Promise<void>): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, (_, place) => one(place)));
}

if (import.meta.main) {
  const told = new Told();
  const attacker = new Attacker(JSON.parse(await told.next()));
  told.answer("ready");
  await told.next();
  void told.next().then(() => attacker.stop());
  told.answer(await attacker.run());
}
