/**
 * One WebSocket of whatever door: frames in, in fair turns, frames out, closed for a reason. What frames say is the
 * door's to read. Nothing here throws into the runtime, where an error in a handler would end the process.
 */
import type { WorkQueue } from "../chat/work_queue.ts";
import type { Log } from "../log.ts";
import { closeCodes, type CloseReason } from "../protocol/close_codes.ts";
import { Farewell } from "./farewell.ts";
import { guard } from "./guard.ts";
import type { SocketWarden } from "./socket_warden.ts";
import type { Watch } from "./watch.ts";

export interface SocketUses {
  work: WorkQueue;
  warden: SocketWarden;
  maxFrameBytes: number;
  log: Log;
}

/** What listens to a socket. None of these may throw; the socket guards itself all the same. */
export interface FrameListener {
  opened(): void;
  /** One text frame, in its turn. `done`: when all that it asked for has been answered. */
  received(text: string, done: () => void): void;
  /** One frame that is not text, in its turn; empty unless the socket keeps those. */
  receivedBinary(bytes: Uint8Array, done: () => void): void;
  ended(): void;
}

/** Frames that a socket may have sent and that are not done with. */
const UNDONE_FRAMES_MAX = 1_000;
const UNDONE_CHARS_MAX = 4 * 1024 * 1024;
/** Once all sockets together have so much of it on the node, each is held to less. */
const CROWDED_CHARS = 128 * 1024 * 1024;
const CROWDED_SHARE_CHARS = 256 * 1024;
/** The runtime tells nothing at all of a client that went while it was being upgraded. */
const OPEN_WITHIN_MS = 10_000;

const NO_BYTES = new Uint8Array();
/** Texts of more characters are measured in bytes. */
const SHORT_CHARS = 1_024;

export class FramedSocket {
  readonly peer: string;
  readonly #uses: SocketUses;
  readonly #keepsBinary: boolean;
  readonly #watch: Watch;
  /** Set before it is attached. */
  listener: FrameListener | undefined;
  #socket: WebSocket | undefined;
  #opening: ReturnType<typeof setTimeout> | undefined;
  #messages = 0;
  #messageBytes = 0;
  #undoneFrames = 0;
  #undoneChars = 0;
  #closed = false;
  #wasTooMuch = false;
  #farewell: Farewell | undefined;
  #gone = false;

  /** `keepsBinary`: the door reads what is in frames that are not text. */
  constructor(peer: string, uses: SocketUses, keepsBinary = false) {
    this.peer = peer;
    this.#uses = uses;
    this.#keepsBinary = keepsBinary;
    this.#watch = uses.warden.watch({
      peer,
      messages: () => this.#messages,
      messageBytes: () => this.#messageBytes,
    });
  }

  /** The only step between the upgrade and its response: it sets fields and cannot fail. */
  attach(socket: WebSocket): void {
    this.#socket = socket;
    socket.binaryType = "arraybuffer"; // a Blob is kept outside of the heap until somebody collects it
    socket.onopen = () => this.#guard(() => this.#opened());
    socket.onmessage = (event) => this.#guard(() => this.#received(event.data));
    socket.onclose = () => this.#guard(() => this.#ended());
    socket.onerror = () => this.#guard(() => this.#opening !== undefined && this.#ended()); // else a close follows
    this.#opening = setTimeout(() => this.#guard(() => this.#ended()), OPEN_WITHIN_MS);
  }

  /** It was never upgraded. */
  abandon(): void {
    this.#guard(() => this.#ended());
  }

  send(frame: string | Uint8Array<ArrayBuffer>): void {
    guard(this.#uses.log, "socket.fault", () => {
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
    });
  }

  queuedBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** It was closed or cut for what a client that means well does not do again and again. */
  get didHarm(): boolean {
    return this.#wasTooMuch || this.#watch.wasEndless();
  }

  /** The last moment for what a door has held back. */
  protected flush(): void {}

  /** `isHarm`: for what it did, and not for who has so much already. */
  close(code: number, reason: string, isHarm = code === closeCodes.too_much.code): void {
    if (this.#closed) return;
    this.#wasTooMuch = isHarm;
    const { log } = this.#uses;
    const queuedBytes = this.queuedBytes();
    guard(log, "socket.fault", () => this.flush());
    this.#stopWorking();
    // the reasons that say something of the client; a client that goes, or a restart, is no news
    if (code >= 4000 || code === closeCodes.too_large.code) {
      log.info("socket.closing", { code, reason, queuedBytes });
    }
    guard(log, "socket.fault", () => this.#watch.closing());
    const isReading = code !== closeCodes.slow_consumer.code;
    const canBeTold = this.#uses.warden.isOn && this.#opening === undefined;
    if (!isReading || !canBeTold) return this.#finish(code, reason);
    this.#farewell = new Farewell({
      isClear: () => this.#socket?.bufferedAmount === 0,
      say: () => this.#socket?.readyState === WebSocket.OPEN && this.#watch.say(closeFrame(code, reason)),
      finish: () => this.#finish(code, reason),
    });
    guard(log, "socket.fault", () => this.#farewell?.begin());
  }

  #finish(code: number, reason: string): void {
    guard(this.#uses.log, "socket.fault", () => {
      if (this.#opening !== undefined) this.#ended();
      else if ((this.#socket?.readyState ?? WebSocket.CLOSED) <= WebSocket.OPEN) {
        this.#socket?.close(code, reason);
      }
    });
  }

  closeFor(reason: CloseReason): void {
    this.close(closeCodes[reason].code, reason);
  }

  #opened(): void {
    clearTimeout(this.#opening);
    this.#opening = undefined;
    if (this.#gone) this.#socket?.close();
    else this.listener?.opened();
  }

  #received(data: unknown): void {
    const { maxFrameBytes } = this.#uses;
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : NO_BYTES;
    const size = typeof data === "string" ? sizeOf(data, maxFrameBytes) : bytes.length;
    this.#messages++;
    this.#messageBytes += size;
    if (this.#closed) return this.#farewell?.read(size);
    if (size > maxFrameBytes) this.closeFor("too_large");
    else if (typeof data === "string") this.#takeText(data);
    else this.#takeBinary(bytes);
  }

  #takeBinary(bytes: Uint8Array): void {
    const kept = this.#keepsBinary ? bytes : NO_BYTES;
    this.#take(kept.length, (done) => this.listener?.receivedBinary(kept, done));
  }

  #takeText(text: string): void {
    this.#take(text.length, (done) => this.listener?.received(text, done));
  }

  #take(chars: number, read: (done: () => void) => void): void {
    const { work } = this.#uses;
    const undone = this.#undoneChars + chars;
    const isTooMuch = this.#undoneFrames >= UNDONE_FRAMES_MAX || undone > UNDONE_CHARS_MAX ||
      (undone > CROWDED_SHARE_CHARS && work.heldChars + chars > CROWDED_CHARS);
    if (isTooMuch) return this.closeFor("too_much");
    this.#undoneFrames++;
    this.#undoneChars += chars;
    work.hold(chars);
    let isDone = false;
    const done = (): void => {
      if (isDone || this.#closed) return;
      isDone = true;
      this.#undoneFrames--;
      this.#undoneChars -= chars;
      work.hold(-chars);
    };
    work.add(this, () => this.#guard(() => read(done)));
  }

  /** Whatever it had sent is forgotten. */
  #stopWorking(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#uses.work.drop(this);
    this.#uses.work.hold(-this.#undoneChars);
  }

  #ended(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#opening);
    this.#opening = undefined;
    this.#farewell?.end();
    this.#stopWorking();
    this.#detach();
    this.#watch.end();
    this.flush();
    this.listener?.ended();
  }

  /** The runtime holds on to a socket that has ended for half its idle timeout; not to all that it knew of. */
  #detach(): void {
    const socket = this.#socket;
    if (socket === undefined || socket.readyState === WebSocket.CONNECTING) return; // it may yet open
    socket.onmessage = socket.onclose = socket.onerror = null;
    this.#socket = undefined;
  }

  #guard(action: () => void): void {
    if (!guard(this.#uses.log, "socket.fault", action)) this.closeFor("restart");
  }
}

/** In bytes; of what is short and cannot be too large, in characters, which are at most as many. */
function sizeOf(text: string, maxBytes: number): number {
  const isShort = text.length <= SHORT_CHARS && text.length * 3 <= maxBytes;
  return isShort || text.length > maxBytes ? text.length : new TextEncoder().encode(text).length;
}

function closeFrame(code: number, reason: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(reason);
  return new Uint8Array([0x88, 2 + text.length, code >> 8, code & 255, ...text]);
}
