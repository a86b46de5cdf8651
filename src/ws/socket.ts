/**
 * One native socket as a transport: frames in, frames out, closed for a reason. What frames say is read in
 * command_loop.ts. Nothing here throws into the runtime, where an error in a handler would end the process.
 */
import type { WorkQueue } from "../chat/work_queue.ts";
import type { Outlet } from "../delivery/connection.ts";
import { describeFault, type Log } from "../log.ts";
import { closeCodes, type CloseReason } from "../protocol/close_codes.ts";
import type { SocketWarden } from "./socket_warden.ts";
import { Gatherer, nativeWire } from "./wire.ts";

export interface SocketUses {
  work: WorkQueue;
  warden: SocketWarden;
  maxFrameBytes: number;
  log: Log;
}

/** What listens to a socket. None of these may throw; the socket guards itself all the same. */
export interface FrameListener {
  opened(): void;
  /** One text frame, in its turn. */
  received(text: string): void;
  /** A frame that is not text. */
  receivedBinary(): void;
  ended(): void;
}

/** What a socket may have sent that has not had its turn. */
const WAITING_FRAMES_MAX = 1_000;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

export class NativeSocket implements Outlet {
  readonly wire = nativeWire;
  readonly peer: string;
  readonly #uses: SocketUses;
  readonly #gatherer: Gatherer | undefined;
  #socket: WebSocket | undefined;
  #listener: FrameListener | undefined;
  #messages = 0;
  #waitingFrames = 0;
  #waitingBytes = 0;
  #closed = false;

  constructor(peer: string, batch: boolean, uses: SocketUses) {
    this.peer = peer;
    this.#uses = uses;
    this.#gatherer = batch ? new Gatherer((frame) => this.#write(frame)) : undefined;
  }

  /** The only step between the upgrade and its response: it sets fields and cannot fail. */
  attach(socket: WebSocket, listener: FrameListener): void {
    this.#socket = socket;
    this.#listener = listener;
    socket.onopen = () => this.#guard(() => listener.opened());
    socket.onmessage = (event) => this.#guard(() => this.#received(event.data));
    socket.onclose = () => this.#guard(() => this.#ended());
    socket.onerror = () => {}; // a close follows
  }

  get messages(): number {
    return this.#messages;
  }

  send(frame: string): void {
    if (this.#gatherer === undefined) this.#write(frame);
    else this.#gatherer.add(frame);
  }

  queuedBytes(): number {
    return (this.#socket?.bufferedAmount ?? 0) + (this.#gatherer?.waitingBytes ?? 0);
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#uses.work.drop(this);
    try {
      this.#gatherer?.close();
      this.#uses.warden.closing(this.peer);
      if ((this.#socket?.readyState ?? WebSocket.CLOSED) <= WebSocket.OPEN) this.#socket?.close(code, reason);
    } catch (fault) {
      this.#uses.log.error("socket.fault", describeFault(fault));
    }
  }

  closeFor(reason: CloseReason): void {
    this.close(closeCodes[reason].code, reason);
  }

  #write(frame: string): void {
    try {
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
    } catch (fault) {
      this.#uses.log.error("socket.fault", describeFault(fault));
    }
  }

  #received(data: unknown): void {
    this.#messages++;
    if (this.#closed) return;
    if (typeof data !== "string") {
      const size = data instanceof ArrayBuffer ? data.byteLength : data instanceof Blob ? data.size : 0;
      if (size > this.#uses.maxFrameBytes) return this.closeFor("too_large");
      return this.#take(0, () => this.#listener?.receivedBinary());
    }
    // characters are at most as many as bytes, and bytes at most three times as many
    const tooLarge = data.length > this.#uses.maxFrameBytes ||
      (data.length * 3 > this.#uses.maxFrameBytes &&
        new TextEncoder().encode(data).length > this.#uses.maxFrameBytes);
    if (tooLarge) return this.closeFor("too_large");
    this.#take(data.length, () => this.#listener?.received(data));
  }

  #take(bytes: number, read: () => void): void {
    this.#waitingFrames++;
    this.#waitingBytes += bytes;
    if (this.#waitingFrames > WAITING_FRAMES_MAX || this.#waitingBytes > WAITING_BYTES_MAX) {
      return this.closeFor("too_much");
    }
    this.#uses.work.add(this, () => {
      this.#waitingFrames--;
      this.#waitingBytes -= bytes;
      if (!this.#closed) this.#guard(read);
    });
  }

  #ended(): void {
    this.#closed = true;
    this.#uses.work.drop(this);
    this.#uses.warden.forget(this.peer);
    this.#gatherer?.close();
    this.#listener?.ended();
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (fault) {
      this.#uses.log.error("socket.fault", describeFault(fault));
      this.closeFor("restart");
    }
  }
}
