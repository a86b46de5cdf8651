/**
 * A WebSocket that landed on the wrong machine: its frames are passed on to the machine that has its session, and back.
 * What they say is of no concern here.
 */
import { SEND_QUEUE_BYTES_MAX } from "../protocol/limits.ts";
import { FramedSocket, type FrameListener, type SocketUses } from "../sockets/framed_socket.ts";
import { guard } from "../sockets/guard.ts";

const OPEN_WITHIN_MS = 5_000;
const NORMAL = 1000;

/** To the other machine; rejects if that does not take it. */
export async function reach(url: string, headers: Record<string, string>): Promise<WebSocket> {
  const remote = new WebSocket(url, { headers });
  remote.binaryType = "arraybuffer";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error("The other machine does not answer")), OPEN_WITHIN_MS);
  remote.onopen = () => resolve();
  remote.onerror = remote.onclose = () => reject(new Error("The other machine does not take the WebSocket"));
  try {
    await promise;
    return remote;
  } catch (fault) {
    remote.close();
    throw fault;
  } finally {
    clearTimeout(timer);
    remote.onopen = remote.onerror = remote.onclose = null;
  }
}

export class Bridge implements FrameListener {
  readonly #remote: WebSocket;
  readonly #socket: FramedSocket;
  readonly #uses: SocketUses;
  readonly #onEnded: () => void;
  #early: (string | Uint8Array<ArrayBuffer>)[] | undefined = [];

  constructor(remote: WebSocket, peer: string, uses: SocketUses, onEnded: () => void) {
    this.#remote = remote;
    this.#uses = uses;
    this.#onEnded = onEnded;
    this.#socket = new FramedSocket(peer, uses, true);
    this.#socket.listener = this;
    remote.onmessage = ({ data }) => this.#back(typeof data === "string" ? data : new Uint8Array(data));
    remote.onclose = () => this.close();
    remote.onerror = () => {}; // a close follows
  }

  /** The only step between the upgrade and its response: it cannot fail. */
  attach(socket: WebSocket): void {
    this.#socket.attach(socket);
  }

  /** It was never upgraded. */
  abandon(): void {
    this.#socket.abandon();
  }

  close(): void {
    this.#socket.close(NORMAL, "the other end has closed");
  }

  opened(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const frame of early) this.#back(frame);
  }

  received(text: string, done: () => void): void {
    this.#on(text, done);
  }

  receivedBinary(bytes: Uint8Array<ArrayBuffer>, done: () => void): void {
    this.#on(bytes, done);
  }

  ended(): void {
    guard(this.#uses.log, "socketio.bridge_fault", () => this.#remote.close());
    this.#onEnded();
  }

  #on(frame: string | Uint8Array<ArrayBuffer>, done: () => void): void {
    if (this.#remote.readyState === WebSocket.OPEN) this.#remote.send(frame);
    if (this.#remote.bufferedAmount > SEND_QUEUE_BYTES_MAX) this.close();
    done();
  }

  #back(frame: string | Uint8Array<ArrayBuffer>): void {
    if (this.#early !== undefined) this.#early.push(frame);
    else if (this.#socket.queuedBytes() > SEND_QUEUE_BYTES_MAX) this.#socket.closeFor("slow_consumer");
    else this.#socket.send(frame);
  }
}
