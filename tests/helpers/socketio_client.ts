/**
 * The published socket.io-client in tests: commands as calls, pushes as a list to wait on. What hangs fails, and says in
 * what state the client is.
 */
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { withDeadline } from "./deadline.ts";
import { type Json, ReceivedPushes } from "./received_pushes.ts";
import { SocketIoEnd } from "./socketio_end.ts";
import { Refused } from "./test_socket.ts";

export type Transports = readonly ("polling" | "websocket")[];

/** Longer than the client itself waits. */
const CONNECT_MS = 25_000;
const ANSWER_MS = 30_000;

/** Of no push: how far the client is told, which it keeps by itself. */
const OFFSET = "offset";

export class SocketIoSocket extends ReceivedPushes {
  readonly socket: Socket;
  readonly #end: SocketIoEnd;
  readonly #unanswered = new Set<(fault: Error) => void>();

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    this.#end = new SocketIoEnd(socket);
    socket.onAny((event: string, data: Json) => event !== OFFSET && this.take({ event, data }));
    socket.on("disconnect", (reason) => {
      this.closed = { code: 0, reason };
      for (const reject of this.#unanswered) reject(new Error(`disconnected: ${reason}`));
      this.#unanswered.clear();
      this.wake();
    });
    socket.on("connect", () => {
      this.closed = undefined;
      this.wake();
    });
  }

  /** Settles once it is connected; rejects with Refused, or with what the client says. */
  async untilConnected(waitMs = CONNECT_MS): Promise<void> {
    if (this.socket.connected) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // what passes is told by closing the transport alone: only so does the client come back by itself
    const ended = (reason: string): void =>
      reject(new Refused("unavailable", { code: "unavailable", message: reason, retryable: true }));
    const failed = (fault: Error & { data?: Json }): void =>
      reject(fault.data === undefined ? fault : new Refused(fault.data.code, fault.data));
    this.socket.once("connect", resolve).once("disconnect", ended).once("connect_error", failed);
    try {
      await withDeadline(promise, waitMs, () => `a connection: ${this.#state()}`);
    } finally {
      this.socket.off("connect", resolve).off("disconnect", ended).off("connect_error", failed);
    }
  }

  /** The answer; rejects with Refused. While it is not connected the client keeps back what it is asked. */
  async call(event: string, data: unknown = {}): Promise<Json> {
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    this.#unanswered.add(reject);
    this.socket.emit(event, data, resolve);
    try {
      const answer = await withDeadline(promise, ANSWER_MS, () => `the answer to ${event}: ${this.#state()}`);
      if (answer.error !== undefined) throw new Refused(answer.error.code, answer.error);
      return answer;
    } finally {
      this.#unanswered.delete(reject);
    }
  }

  #state(): string {
    const { engine, _readyState: manager } = this.socket.io;
    const { readyState, transport } = (engine ?? {}) as Partial<typeof engine>;
    const { closed, socket: { connected } } = this;
    return JSON.stringify({ connected, manager, engine: readyState, transport: transport?.name, closed });
  }

  /** Answered by events. */
  emit(event: string, data: unknown = {}): void {
    this.socket.emit(event, data);
  }

  async close(): Promise<void> {
    await this.#end.come();
  }
}

/** Connects on its own; does not come back by itself unless it is told to. */
export function openSocketIo(
  url: string,
  token: string | undefined,
  options: Partial<ManagerOptions & SocketOptions> = {},
): SocketIoSocket {
  const auth = token === undefined ? {} : { token };
  return new SocketIoSocket(io(url, { auth, forceNew: true, reconnection: false, ...options }));
}

/** Settles once it has its `hello`; rejects with Refused, and leaves nothing behind then. */
export async function connectSocketIo(
  url: string,
  token: string | undefined,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<SocketIoSocket> {
  const socket = openSocketIo(url, token, options);
  try {
    await socket.untilConnected();
    await socket.next("hello");
    return socket;
  } catch (fault) {
    await socket.close();
    throw fault;
  }
}
