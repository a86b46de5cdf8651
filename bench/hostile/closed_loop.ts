/**
 * A closed loop: so many sockets in rooms of ten, each with one send outstanding, for a while; how long each waited.
 * Run as a process of its own, so that it takes no time from whoever measures: what it is asked comes on stdin,
 * its result leaves on stdout, both JSON.
 */
import { frame, handshake, joinBytes, textFrame, toBytes } from "../../tests/helpers/raw_client.ts";

export interface ClosedLoopAsk {
  port: number;
  /** One of each socket's user, who is a member of its room. */
  seats: { token: string; roomId: string }[];
  warmUpMs: number;
  windowMs: number;
}

export interface ClosedLoopResult {
  sends: number;
  deliveries: number;
  p50: number;
  p99: number;
  /** Of all sends, those that had no answer at the end included. */
  worst: number;
  /** Sockets without a single answer in the window. */
  unserved: number;
  /** The fewest and the most answers of a socket. */
  fewest: number;
  most: number;
  refused: number;
  /** How late the load itself was at worst: what it measures is too long by as much. */
  ownLagMs: number;
}

const decoder = new TextDecoder();
const BUFFER_BYTES = 16 * 1024;
/** Third byte of `{"ack":…`; a push begins with `{"e`. */
const ACK = "a".charCodeAt(0);

/** Reads as little as it can: the load must not be what is slow. */
class Seat {
  readonly #connection: Deno.Conn;
  readonly #send: Uint8Array;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  /** Of the buffer, what has been read and not looked at; of the frame before, what is still to come. */
  #filled = 0;
  #skip = 0;
  #sentAt = 0;
  isOn = false;
  deliveries = 0;
  refused = 0;
  readonly waits: { sentAt: number; ms: number }[] = [];

  private constructor(connection: Deno.Conn, roomId: string) {
    this.#connection = connection;
    const command = { event: "send_message", data: { roomId, content: "one of a thousand" }, id: 1 };
    this.#send = frame({ payload: JSON.stringify(command) });
  }

  static async take(port: number, { token, roomId }: { token: string; roomId: string }): Promise<Seat> {
    const connection = await Deno.connect({ port, hostname: "127.0.0.1" });
    const seat = new Seat(connection, roomId);
    const join = textFrame({ event: "join_room", data: { roomId }, id: 0 });
    await connection.write(joinBytes(toBytes(handshake({ token })), join));
    await seat.#readHead();
    void seat.#read();
    while (seat.waits.length === 0) await pause(5);
    return seat;
  }

  async #readHead(): Promise<void> {
    for (;;) {
      const count = await this.#connection.read(this.#buffer.subarray(this.#filled));
      if (count === null) throw new Error("Not upgraded");
      this.#filled += count;
      const text = decoder.decode(this.#buffer.subarray(0, this.#filled));
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) continue;
      if (!text.startsWith("HTTP/1.1 101")) throw new Error(`Not upgraded: ${text}`);
      this.#buffer.copyWithin(0, end + 4, this.#filled);
      this.#filled -= end + 4;
      return;
    }
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        this.#takeFrames();
        const count = await this.#connection.read(this.#buffer.subarray(this.#filled));
        if (count === null) return;
        this.#filled += count;
      }
    } catch {
      // closed on this side
    }
  }

  #takeFrames(): void {
    const bytes = this.#buffer;
    let at = Math.min(this.#skip, this.#filled);
    this.#skip -= at;
    while (this.#skip === 0 && this.#filled - at >= 24) {
      const short = bytes[at + 1]!;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      const length = short === 126
        ? (bytes[at + 2]! << 8) | bytes[at + 3]!
        : short === 127
        ? Number(new DataView(bytes.buffer).getBigUint64(at + 2))
        : short;
      if (bytes[at + head + 2] === ACK) this.#answered(decoder.decode(bytes.subarray(at + head, at + 24)));
      else this.deliveries++;
      const end = at + head + length;
      this.#skip = Math.max(0, end - this.#filled);
      at = Math.min(end, this.#filled);
    }
    bytes.copyWithin(0, at, this.#filled);
    this.#filled -= at;
  }

  #answered(start: string): void {
    this.waits.push({ sentAt: this.#sentAt, ms: performance.now() - this.#sentAt });
    if (start.includes("error")) this.refused++;
    this.#sentAt = 0;
    if (this.isOn) this.send();
  }

  send(): void {
    this.#sentAt = performance.now();
    void this.#connection.write(this.#send);
  }

  /** How long it has been waiting. */
  pendingMs(now: number): number {
    return this.#sentAt === 0 ? 0 : now - this.#sentAt;
  }

  close(): void {
    this.#connection.close();
  }
}

export async function closedLoop(ask: ClosedLoopAsk): Promise<ClosedLoopResult> {
  const seats: Seat[] = [];
  const left = ask.seats.values();
  const open = async (): Promise<void> => {
    for (const seat of left) seats.push(await Seat.take(ask.port, seat));
  };
  await Promise.all(Array.from({ length: 16 }, open));
  for (const seat of seats) {
    seat.isOn = true;
    seat.send();
  }
  await pause(ask.warmUpMs);
  using lag = new Lag();
  const from = performance.now();
  const deliveries = seats.reduce((sum, seat) => sum + seat.deliveries, 0);
  await pause(ask.windowMs);
  const until = performance.now();
  for (const seat of seats) seat.isOn = false;
  const mine = seats.map((seat) =>
    seat.waits.filter(({ sentAt, ms }) => sentAt + ms >= from && sentAt + ms <= until)
  );
  const waits = Float64Array.from(mine.flat().map(({ ms }) => ms)).sort();
  const at = (share: number) => Math.round((waits[Math.ceil(share * waits.length) - 1] ?? 0) * 10) / 10;
  const pending = seats.map((seat) => seat.pendingMs(until));
  const result = {
    sends: waits.length,
    deliveries: seats.reduce((sum, seat) => sum + seat.deliveries, 0) - deliveries,
    p50: at(0.5),
    p99: at(0.99),
    worst: Math.round(Math.max(at(1), ...pending)),
    unserved: mine.filter((each) => each.length === 0).length,
    fewest: Math.min(...mine.map((each) => each.length)),
    most: Math.max(...mine.map((each) => each.length)),
    refused: seats.reduce((sum, seat) => sum + seat.refused, 0),
    ownLagMs: Math.round(lag.worst),
  };
  await pause(500);
  for (const seat of seats) seat.close();
  return result;
}

/** In a process of its own. */
export async function runClosedLoop(ask: ClosedLoopAsk): Promise<ClosedLoopResult> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", import.meta.url],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(ask)));
  await writer.close();
  const { stdout, code } = await child.output();
  if (code !== 0) throw new Error(`The closed loop ended with ${code}`);
  return JSON.parse(decoder.decode(stdout));
}

/** How late a timer comes. */
class Lag implements Disposable {
  worst = 0;
  #due = performance.now() + 10;
  readonly #timer = setInterval(() => {
    this.worst = Math.max(this.worst, performance.now() - this.#due);
    this.#due = performance.now() + 10;
  }, 10);

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) {
  const result = await closedLoop(await new Response(Deno.stdin.readable).json());
  await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(result)));
  Deno.exit(0);
}
