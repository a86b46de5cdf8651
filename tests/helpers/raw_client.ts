/**
 * A raw client: a TCP connection, the handshake by hand, frames by hand, also those that no WebSocket library would
 * send. It reads or leaves unread as it is told. For tests of what hostile clients try.
 */
import { randomBytes } from "node:crypto";

export interface FrameInit {
  opcode?: number;
  payload?: Uint8Array | string;
  fin?: boolean;
  /** The three reserved bits, 0 to 7. */
  reserved?: number;
  masked?: boolean;
  /** Bytes of the length field, where not the shortest that does: 0, 2 or 8. */
  lengthBytes?: 0 | 2 | 8;
  /** What the length field says, where it lies. */
  claimedLength?: bigint;
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const utf8 = new TextEncoder();
export const toBytes = (text: string): Uint8Array<ArrayBuffer> => utf8.encode(text);

/** One frame. The mask is all zeros: masked as the protocol asks, and cheap. */
export function frame(init: FrameInit): Uint8Array<ArrayBuffer> {
  const payload = typeof init.payload === "string" ? toBytes(init.payload) : init.payload ?? new Uint8Array();
  const length = init.claimedLength ?? BigInt(payload.length);
  const lengthBytes = init.lengthBytes ?? (length < 126n ? 0 : length < 65_536n ? 2 : 8);
  const masked = init.masked ?? true;
  const head = new Uint8Array(2 + lengthBytes + (masked ? 4 : 0));
  const view = new DataView(head.buffer);
  head[0] = ((init.fin ?? true) ? 0x80 : 0) | ((init.reserved ?? 0) << 4) | (init.opcode ?? OPCODE.text);
  head[1] = (masked ? 0x80 : 0) | (lengthBytes === 0 ? Number(length) : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) view.setUint16(2, Number(length));
  if (lengthBytes === 8) view.setBigUint64(2, length);
  return joinBytes(head, payload);
}

export const textFrame = (value: unknown): Uint8Array<ArrayBuffer> =>
  frame({ payload: typeof value === "string" ? value : JSON.stringify(value) });

export function closeFrame(code: number, reason: Uint8Array | string = ""): Uint8Array<ArrayBuffer> {
  const told = typeof reason === "string" ? toBytes(reason) : reason;
  return frame({ opcode: OPCODE.close, payload: joinBytes(new Uint8Array([code >> 8, code & 255]), told) });
}

export function joinBytes(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export interface Received {
  opcode: number;
  fin: boolean;
  payload: Uint8Array;
}

/** How it ended: the peer's close frame, if there was one, and the end of the connection. */
export interface Ended {
  code: number | undefined;
  reason: string;
  /** `end`: FIN; `reset`: RST; `here`: closed on this side. */
  how: "end" | "reset" | "here";
  /** performance.now(). */
  at: number;
}

export interface HandshakeInit {
  path?: string;
  token?: string;
  protocol?: string | undefined;
  headers?: Record<string, string>;
}

export function handshake(init: HandshakeInit = {}): string {
  const headers: Record<string, string> = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    ...(init.protocol === undefined ? {} : { "Sec-WebSocket-Protocol": init.protocol }),
    ...(init.token === undefined ? {} : { "Authorization": `Bearer ${init.token}` }),
    ...init.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${init.path ?? "/ws"} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

export class RawClient implements Disposable {
  readonly localPort: number;
  readonly #connection: Deno.Conn;
  #head: { status: number; text: string } | undefined;
  #rest: Uint8Array = new Uint8Array();
  #isReading = false;
  readonly #waiting = new Set<() => void>();
  /** Of the peer's close frame. */
  closeFrame: { code: number | undefined; reason: string; at: number } | undefined;
  ended: Ended | undefined;
  /** Everything that came but pongs and pings; emptied by whoever wants to. */
  readonly frames: Received[] = [];
  bytesRead = 0;
  /** False: whole messages are counted and forgotten. */
  keepFrames = true;
  /** As the protocol asks. */
  answersClose = true;
  /** Called when some came. */
  onFrames: (() => void) | undefined;
  framesRead = 0;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
    this.localPort = (connection.localAddr as Deno.NetAddr).port;
  }

  /** TCP only. */
  static async connect(port: number, hostname = "127.0.0.1"): Promise<RawClient> {
    return new RawClient(await Deno.connect({ port, hostname }));
  }

  /** Connected and upgraded, reading. Throws if the answer is not 101. */
  static async open(port: number, init: HandshakeInit = {}): Promise<RawClient> {
    const client = await RawClient.connect(port);
    try {
      await client.write(toBytes(handshake(init)));
      const { status, text } = await client.readHead();
      if (status !== 101) throw new Error(`Not upgraded: ${text}`);
      client.startReading();
      return client;
    } catch (fault) {
      client.close();
      throw fault;
    }
  }

  /** False once the connection has ended. */
  async write(bytes: Uint8Array): Promise<boolean> {
    try {
      for (let done = 0; done < bytes.length;) done += await this.#connection.write(bytes.subarray(done));
      return true;
    } catch {
      return false;
    }
  }

  send(value: unknown): Promise<boolean> {
    return this.write(textFrame(value));
  }

  /** The head of the answer and what came with it; rejects if the connection ends before. */
  async readHead(): Promise<{ status: number; text: string }> {
    const buffer = new Uint8Array(65_536);
    let bytes: Uint8Array = new Uint8Array();
    for (;;) {
      const text = new TextDecoder("latin1").decode(bytes);
      const end = text.indexOf("\r\n\r\n");
      if (end >= 0) {
        this.#rest = bytes.slice(end + 4);
        this.#head = { status: Number(text.split(" ")[1]), text: text.slice(0, end) };
        return this.#head;
      }
      const count = await this.#connection.read(buffer).catch(() => null);
      if (count === null) throw new Error(`The connection ended in the head of the answer: ${text}`);
      bytes = joinBytes(bytes, buffer.subarray(0, count));
    }
  }

  async readAnswer(): Promise<{ status: number; text: string; body: string }> {
    await this.readHead();
    return await this.readBody();
  }

  /** After the head: until the end of the connection, or of what Content-Length says. */
  async readBody(): Promise<{ status: number; text: string; body: string }> {
    const head = this.#head!;
    const length = Number(/content-length: (\d+)/i.exec(head.text)?.[1] ?? Infinity);
    const buffer = new Uint8Array(65_536);
    while (this.#rest.length < length) {
      const count = await this.#connection.read(buffer).catch(() => null);
      if (count === null) break;
      this.#rest = joinBytes(this.#rest, buffer.subarray(0, count));
    }
    return { ...head, body: new TextDecoder().decode(this.#rest) };
  }

  /** Frames are read from now on, until the end. */
  startReading(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    void this.#read();
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(262_144);
    let how: Ended["how"] = "end";
    try {
      this.#takeFrames();
      for (;;) {
        const count = await this.#connection.read(buffer);
        if (count === null) break;
        this.bytesRead += count;
        this.#rest = this.#rest.length === 0
          ? buffer.slice(0, count)
          : joinBytes(this.#rest, buffer.subarray(0, count));
        this.#takeFrames();
      }
    } catch (fault) {
      how = fault instanceof Deno.errors.ConnectionReset ? "reset" : "here";
    }
    this.#end(how);
  }

  #end(how: Ended["how"]): void {
    this.ended ??= {
      code: this.closeFrame?.code,
      reason: this.closeFrame?.reason ?? "",
      how,
      at: performance.now(),
    };
    this.#wake();
  }

  /** A server's frames are never masked. */
  #takeFrames(): void {
    for (;;) {
      const bytes = this.#rest;
      if (bytes.length < 2) break;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const short = bytes[1]! & 0x7f;
      const headLength = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (bytes.length < headLength) break;
      const length = short === 126 ? view.getUint16(2) : short === 127 ? Number(view.getBigUint64(2)) : short;
      if (bytes.length < headLength + length) break;
      const payload = bytes.subarray(headLength, headLength + length);
      this.#rest = bytes.subarray(headLength + length);
      this.#take({ opcode: bytes[0]! & 15, fin: (bytes[0]! & 0x80) !== 0, payload });
    }
    this.#wake();
  }

  #take(received: Received): void {
    this.framesRead++;
    if (received.opcode === OPCODE.close) {
      const { payload } = received;
      this.closeFrame ??= {
        code: payload.length < 2 ? undefined : (payload[0]! << 8) | payload[1]!,
        reason: new TextDecoder().decode(payload.subarray(2)),
        at: performance.now(),
      };
      if (this.answersClose) void this.write(frame({ opcode: OPCODE.close, payload }));
    } else if (this.keepFrames) {
      this.frames.push({ ...received, payload: received.payload.slice() });
    }
  }

  /** Text frames so far, parsed. */
  // deno-lint-ignore no-explicit-any -- read by tests by their fields
  get messages(): any[] {
    return this.frames.filter(({ opcode }) => opcode === OPCODE.text)
      .map(({ payload }) => JSON.parse(new TextDecoder().decode(payload)));
  }

  #wake(): void {
    this.onFrames?.();
    for (const check of [...this.#waiting]) check();
  }

  /** Rejects after `waitMs`. Looks when something came, and every 50 ms. */
  async until(holds: () => boolean, what: string, waitMs = 5_000): Promise<void> {
    if (holds()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = (): void => void (holds() && resolve());
    const timer = setTimeout(() => {
      const state = JSON.stringify({ ended: this.ended, close: this.closeFrame, frames: this.framesRead });
      reject(new Error(`Waited ${waitMs} ms for ${what}: ${state}`));
    }, waitMs);
    const ticker = setInterval(check, 50);
    this.#waiting.add(check);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      clearInterval(ticker);
      this.#waiting.delete(check);
    }
  }

  /** It must be reading. */
  async untilEnded(waitMs = 5_000): Promise<Ended> {
    await this.until(() => this.ended !== undefined, "the end of the connection", waitMs);
    return this.ended!;
  }

  /** The first message that fits. */
  // deno-lint-ignore no-explicit-any -- read by tests by their fields
  async next(fits: (message: any) => boolean, what = "a message", waitMs = 5_000): Promise<any> {
    await this.until(() => this.messages.some(fits), what, waitMs);
    return this.messages.find(fits);
  }

  /** With something unread in the kernel's buffer this is an RST. */
  close(): void {
    try {
      this.#connection.close();
    } catch {
      // it has ended
    }
    if (!this.#isReading) this.#end("here");
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
