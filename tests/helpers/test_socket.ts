/** A native socket of tests: commands as calls, pushes as a list to wait on. */
import { SUBPROTOCOL, SUBPROTOCOL_BEARER } from "../../src/protocol/limits.ts";
import { type Json, ReceivedPushes } from "./received_pushes.ts";

/** An error in an ack, or of a connection that is refused. */
export class Refused extends Error {
  constructor(readonly code: string, readonly body: Json) {
    super(`${code}: ${body.message}`);
  }
}

export class TestSocket extends ReceivedPushes {
  readonly socket: WebSocket;
  readonly #acks = new Map<number, { resolve: (data: Json) => void; reject: (fault: Error) => void }>();
  #nextId = 1;

  constructor(socket: WebSocket) {
    super();
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      const frame: Json = JSON.parse(data);
      for (const envelope of Array.isArray(frame) ? frame : [frame]) this.#take(envelope);
    };
    socket.onclose = ({ code, reason }) => {
      this.closed = { code, reason };
      for (const { reject } of this.#acks.values()) reject(new Error(`closed with ${code} ${reason}`));
      this.#acks.clear();
      this.wake();
    };
    socket.onerror = () => {};
  }

  #take(envelope: Json): void {
    const ack = this.#acks.get(envelope.ack);
    if (ack === undefined) return this.take(envelope);
    if (envelope.error === undefined) ack.resolve(envelope.data);
    else ack.reject(new Refused(envelope.error.code, envelope.error));
    this.#acks.delete(envelope.ack);
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
