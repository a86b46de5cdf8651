/** A native socket of tests: commands as calls, pushes as a list to wait on. */
import { SUBPROTOCOL, SUBPROTOCOL_BEARER } from "../../src/protocol/limits.ts";

// deno-lint-ignore no-explicit-any -- answers are checked against the published schemas, and here by their fields
type Json = any;

export interface ReceivedPush {
  event: string;
  data: Json;
}

/** An error in an ack. */
export class Refused extends Error {
  constructor(readonly code: string, readonly body: Json) {
    super(`${code}: ${body.message}`);
  }
}

const WAIT_MS = 5_000;

export class TestSocket {
  readonly socket: WebSocket;
  /** All pushes so far, hello among them. */
  readonly pushes: ReceivedPush[] = [];
  readonly #acks = new Map<number, { resolve: (data: Json) => void; reject: (fault: Error) => void }>();
  readonly #waiting = new Set<() => void>();
  #nextId = 1;
  closed: { code: number; reason: string } | undefined;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      const frame: Json = JSON.parse(data);
      for (const envelope of Array.isArray(frame) ? frame : [frame]) this.#take(envelope);
    };
    socket.onclose = ({ code, reason }) => {
      this.closed = { code, reason };
      for (const { reject } of this.#acks.values()) reject(new Error(`closed with ${code} ${reason}`));
      this.#acks.clear();
      this.#wake();
    };
    socket.onerror = () => {};
  }

  #take(envelope: Json): void {
    const ack = this.#acks.get(envelope.ack);
    if (ack === undefined) this.pushes.push(envelope);
    else if (envelope.error === undefined) ack.resolve(envelope.data);
    else ack.reject(new Refused(envelope.error.code, envelope.error));
    this.#acks.delete(envelope.ack);
    this.#wake();
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check();
  }

  /** The data of the ack; rejects with Refused. */
  call(event: string, data: unknown = {}): Promise<Json> {
    const id = this.#nextId++;
    const answer = new Promise<Json>((resolve, reject) => this.#acks.set(id, { resolve, reject }));
    this.raw(JSON.stringify({ event, data, id }));
    return answer;
  }

  /** Without an id: answered by events. */
  emit(event: string, data: unknown = {}): void {
    this.raw(JSON.stringify({ event, data }));
  }

  raw(frame: string | Uint8Array<ArrayBuffer>): void {
    this.socket.send(frame);
  }

  /** The first push, come or to come, that fits. */
  async next(event: string, fits: (data: Json) => boolean = () => true): Promise<Json> {
    const find = () => this.pushes.find((push) => push.event === event && fits(push.data));
    await this.until(() => find() !== undefined, `a push ${event}`);
    return find()?.data;
  }

  events(event: string): Json[] {
    return this.pushes.filter((push) => push.event === event).map((push) => push.data);
  }

  async untilClosed(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closed !== undefined, "the close");
    return this.closed ?? { code: 0, reason: "" };
  }

  async until(holds: () => boolean, what: string, waitMs = WAIT_MS): Promise<void> {
    if (holds()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      const seen = this.pushes.map((push) => push.event).join(", ");
      reject(
        new Error(`Waited ${waitMs} ms for ${what}; closed: ${JSON.stringify(this.closed)}; pushes: ${seen}`),
      );
    }, waitMs);
    const check = () => holds() && resolve();
    this.#waiting.add(check);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(check);
    }
  }

  async close(): Promise<void> {
    if (this.closed === undefined) {
      this.socket.close();
      await this.until(() => this.closed !== undefined, "the close");
    }
  }
}

/** Settles once the socket is open and has its `hello`; without a token once it is open. */
export async function connectSocket(
  url: string,
  token: string | undefined,
  protocol = SUBPROTOCOL,
): Promise<TestSocket> {
  const protocols = [protocol, ...(token === undefined ? [] : [SUBPROTOCOL_BEARER + token])];
  const socket = new TestSocket(new WebSocket(`${url.replace("http", "ws")}/ws`, protocols));
  await waitOpen(socket);
  if (token !== undefined) await socket.next("hello");
  return socket;
}

async function waitOpen(socket: TestSocket): Promise<void> {
  if (socket.socket.readyState !== WebSocket.CONNECTING) return;
  await new Promise<void>((resolve) => {
    socket.socket.addEventListener("open", () => resolve(), { once: true });
    socket.socket.addEventListener("close", () => resolve(), { once: true });
  });
}
