/**
 * A session: one client, by polling, by WebSocket, or first by the one and then by the other, with no packet lost or
 * doubled on the way. It beats, takes packets in order, and ends once. What messages say is its listener's to read.
 */
import type { WorkQueue } from "../../chat/work_queue.ts";
import type { Log } from "../../log.ts";
import { closeCodes, type CloseReason } from "../../protocol/close_codes.ts";
import { guard } from "../../sockets/guard.ts";
import { Heartbeat } from "./heartbeat.ts";
import { fromPayload, type MessageData, messageOf, type Packet, toPayload } from "./packets.ts";
import { Polling } from "./polling.ts";
import { EngineRefusal } from "./refusals.ts";
import type { SessionSocket } from "./session_socket.ts";

export interface SessionOptions {
  pingIntervalMs: number;
  pingTimeoutMs: number;
  /** Of one message, and of one payload. */
  maxFrameBytes: number;
  work: WorkQueue;
  log: Log;
}

/** What listens to a session. None of these may throw; the session guards itself all the same. */
export interface SessionListener {
  /** One message, in its turn. `done`: when all that it asked for has been answered. */
  received(data: MessageData, done: () => void): void;
  /** It has ended, for whatever reason; nothing more comes in. */
  ended(): void;
}

/** Of what a WebSocket has sent, some may be read later than a request that was made after it. */
const TAKEOVER_MS = 10;
const PROTOCOL_ERROR = 1002;

export class Session {
  readonly sid: string;
  /** Set before it is opened. */
  listener: SessionListener | undefined;
  readonly #options: SessionOptions;
  readonly #onGone: () => void;
  readonly #heartbeat: Heartbeat;
  readonly #polling = new Polling();
  /** That carries the packets. */
  #socket: SessionSocket | undefined;
  /** That may take over. */
  #candidate: SessionSocket | undefined;
  readonly #onTakenOver = new Set<() => void>();
  #isPolled = false;
  #isPosted = false;
  #onPosted: (() => void) | undefined;
  #ended: "by client" | "by server" | undefined;
  #didHarm = false;

  /** `onGone`: nothing is left of it, its last packets included. */
  constructor(sid: string, options: SessionOptions, onGone: () => void) {
    this.sid = sid;
    this.#options = options;
    this.#onGone = onGone;
    this.#heartbeat = new Heartbeat({
      intervalMs: options.pingIntervalMs,
      timeoutMs: options.pingTimeoutMs,
      ping: () => this.#write({ type: "ping" }),
      lost: () => this.#fail("ping timeout"),
    });
  }

  get transport(): "polling" | "websocket" {
    return this.#socket === undefined ? "polling" : "websocket";
  }

  /** As a FramedSocket's. */
  get didHarm(): boolean {
    return this.#didHarm;
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  get queuedBytes(): number {
    return this.#polling.queuedBytes + (this.#socket?.queuedBytes ?? 0);
  }

  /** Begins by polling; answers the first payload. */
  open(): string {
    this.#heartbeat.begin();
    return toPayload([this.#handshake(["websocket"])]);
  }

  /** Is to begin by this WebSocket, once that opens. */
  claim(socket: SessionSocket): void {
    this.#socket = socket;
  }

  opened(): void {
    if (this.#ended !== undefined) return;
    this.#heartbeat.begin();
    this.#write(this.#handshake([]));
  }

  send(data: MessageData): void {
    if (this.#ended === undefined) this.#write({ type: "message", data });
  }

  /** Ends it from our side; by polling, with the next payload. */
  close(code: number, reason: string): void {
    if (this.#ended !== undefined) return;
    if (this.#socket === undefined) {
      // as a WebSocket does: the reasons that say something of the client
      if (code >= 4000) {
        this.#options.log.info("socket.closing", { code, reason, queuedBytes: this.queuedBytes });
      }
      this.#polling.finish(() => this.#onGone());
    }
    this.#end("by server", code, reason);
  }

  closeFor(reason: CloseReason): void {
    this.close(closeCodes[reason].code, reason);
  }

  /** Ended or not, nothing is kept for it any longer. */
  forget(): void {
    this.closeFor("restart");
    this.#polling.abandon();
  }

  /** A GET: settles with a payload. A second one at a time ends the session. */
  async poll(signal: AbortSignal): Promise<string> {
    this.#requireTime();
    if (this.#isPolled) {
      this.#fail("two polls at once");
      throw new EngineRefusal("bad_request");
    }
    this.#isPolled = true;
    try {
      await this.#requirePolling();
      return await this.#polling.next(signal, () => this.#fail("poll aborted"));
    } finally {
      this.#isPolled = false;
    }
  }

  /** A POST: settles when all that it asked for has been answered, so that there is one payload of a client at most. */
  async post(read: () => Promise<string>): Promise<void> {
    this.#requireTime();
    if (this.#isPosted || this.#ended !== undefined) {
      this.#fail("two payloads at once");
      this.#polling.abandon(); // by this it learns of the end, if it had not fetched that yet
      throw new EngineRefusal("bad_request");
    }
    this.#isPosted = true;
    try {
      await this.#requirePolling();
      const payload = await read();
      await this.#takeAll(fromPayload(payload), payload.length);
    } catch (fault) {
      if (this.#socket === undefined) this.#fail("bad payload");
      throw fault;
    } finally {
      this.#isPosted = false;
    }
    if (this.#ended === "by server") throw new EngineRefusal("bad_request");
  }

  async #takeAll(packets: Packet[], chars: number): Promise<void> {
    const { work, log } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onPosted = resolve;
    let left = packets.length;
    const done = (): void => {
      if (--left === 0) resolve();
    };
    work.hold(chars);
    for (const packet of packets) {
      work.add(this, () => {
        if (!guard(log, "socket.fault", () => this.take(packet, done))) this.closeFor("restart");
      });
    }
    await promise;
    work.hold(-chars);
  }

  /** One packet, by whatever transport. */
  take(packet: Packet, done: () => void): void {
    if (this.#ended !== undefined) return done();
    if (packet.type === "message") return this.listener?.received(messageOf(packet), done);
    if (packet.type === "pong") {
      if (!this.#polling.holdsPing) this.#heartbeat.answered();
    } else if (packet.type === "close") this.#goodbye();
    else if (packet.type === "error" || packet.type === "ping") this.#fail(`bad packet ${packet.type}`);
    done();
  }

  /** A WebSocket has come that wants to carry the session on; false if another carries it, or wants to. */
  offer(socket: SessionSocket): boolean {
    if (this.#socket !== undefined || this.#candidate !== undefined || this.#ended !== undefined) {
      return false;
    }
    this.#candidate = socket;
    return true;
  }

  /** The candidate works: the client stops polling. */
  probed(): void {
    this.#polling.isHurried = true;
    this.#polling.release();
  }

  /** The candidate carries from now on, beginning with what has not been fetched. */
  upgraded(): void {
    this.#socket = this.#candidate;
    this.#candidate = undefined;
    this.#polling.release();
    for (const packet of this.#polling.takeAll()) this.#write(packet);
    this.#decided();
  }

  /** A WebSocket has gone. */
  lost(socket: SessionSocket): void {
    this.#didHarm ||= socket.didHarm;
    if (socket === this.#candidate) {
      this.#candidate = undefined;
      this.#polling.isHurried = false;
      this.#decided();
    } else if (socket === this.#socket) {
      this.#end("by client");
      this.#onGone();
    }
  }

  /** A bad packet, a bad order of requests, no sign of life. */
  #fail(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#options.log.debug("socketio.session_failed", { reason });
    this.#end("by server", PROTOCOL_ERROR, reason);
    if (this.#socket !== undefined) return;
    this.#polling.abandon();
    this.#onGone();
  }

  #goodbye(): void {
    this.#end("by client", closeCodes.normal.code, "normal");
    if (this.#socket !== undefined) return;
    this.#polling.release();
    this.#onGone();
  }

  #end(how: "by client" | "by server", code: number = closeCodes.normal.code, reason = ""): void {
    if (this.#ended !== undefined) return;
    this.#ended = how;
    this.#didHarm ||= code === closeCodes.too_much.code;
    this.#heartbeat.end();
    this.#options.work.drop(this);
    this.#socket?.close(code, reason);
    this.#candidate?.close(code, reason);
    this.#onPosted?.();
    guard(this.#options.log, "socket.fault", () => this.listener?.ended());
  }

  #write(packet: Packet): void {
    if (this.#socket === undefined) this.#polling.send(packet);
    else this.#socket.write(packet);
  }

  #handshake(upgrades: string[]): Packet {
    const { pingIntervalMs, pingTimeoutMs, maxFrameBytes } = this.#options;
    const data = {
      sid: this.sid,
      upgrades,
      pingInterval: pingIntervalMs,
      pingTimeout: pingTimeoutMs,
      maxPayload: maxFrameBytes,
    };
    return { type: "open", data: JSON.stringify(data) };
  }

  #requireTime(): void {
    if (this.#heartbeat.isLost) this.#fail("ping timeout");
  }

  /** A request that comes while a WebSocket takes over waits a little for it to have done so. */
  async #requirePolling(): Promise<void> {
    if (this.#candidate !== undefined) {
      const takenOver = Promise.withResolvers<void>();
      this.#onTakenOver.add(takenOver.resolve);
      const timer = setTimeout(takenOver.resolve, TAKEOVER_MS);
      await takenOver.promise;
      clearTimeout(timer);
      this.#onTakenOver.delete(takenOver.resolve);
    }
    if (this.#socket !== undefined || this.#ended === "by client") throw new EngineRefusal("bad_request");
  }

  /** The candidate has become the one, or has gone. */
  #decided(): void {
    for (const resolve of this.#onTakenOver) resolve();
  }
}
