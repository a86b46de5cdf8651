/**
 * One WebSocket of a session: from the first packet, or as an upgrade that is probed and then takes over. Each packet is
 * a frame of its own.
 */
import { FramedSocket, type FrameListener, type SocketUses } from "../../sockets/framed_socket.ts";
import { fromFrame, type MessageData, type Packet, toFrame } from "./packets.ts";
import type { Session } from "./session.ts";

/** For a client to probe and upgrade. */
const UPGRADE_WITHIN_MS = 10_000;
const NORMAL = 1000;
const PROTOCOL_ERROR = 1002;

/** `new`: the session begins with it. `offered`, then `probed`: it may take over. `refused`: the session has another. */
type Role = "new" | "offered" | "probed" | "carrying" | "refused";

export class SessionSocket implements FrameListener {
  readonly #session: Session;
  readonly #socket: FramedSocket;
  #role: Role;
  #upgrading: ReturnType<typeof setTimeout> | undefined;

  constructor(session: Session, peer: string, uses: SocketUses, isNew: boolean) {
    this.#session = session;
    this.#socket = new FramedSocket(peer, uses, true);
    this.#socket.listener = this;
    this.#role = isNew ? "new" : session.offer(this) ? "offered" : "refused";
    if (isNew) session.claim(this);
  }

  get queuedBytes(): number {
    return this.#socket.queuedBytes();
  }

  get didHarm(): boolean {
    return this.#socket.didHarm;
  }

  /** The only step between the upgrade and its response: it cannot fail. */
  attach(socket: WebSocket): void {
    this.#socket.attach(socket);
  }

  /** It was never upgraded. */
  abandon(): void {
    this.#socket.abandon();
  }

  write(packet: Packet): void {
    this.#socket.send(toFrame(packet));
  }

  close(code: number, reason: string): void {
    clearTimeout(this.#upgrading);
    this.#socket.close(code, reason);
  }

  opened(): void {
    if (this.#role === "new") {
      this.#role = "carrying";
      this.#session.opened();
    } else if (this.#role === "offered") {
      this.#upgrading = setTimeout(() => this.close(NORMAL, "upgrade timeout"), UPGRADE_WITHIN_MS);
    } else if (this.#role === "refused") this.close(NORMAL, "the session has a WebSocket");
  }

  received(text: string, done: () => void): void {
    this.#take(text, done);
  }

  receivedBinary(bytes: Uint8Array<ArrayBuffer>, done: () => void): void {
    this.#take(bytes, done);
  }

  ended(): void {
    clearTimeout(this.#upgrading);
    this.#session.lost(this);
  }

  #take(frame: MessageData, done: () => void): void {
    const packet = fromFrame(frame);
    if (this.#role === "carrying") return this.#session.take(packet, done);
    done();
    if (this.#role === "refused") return;
    if (packet.type === "ping" && packet.data === "probe") {
      this.#role = "probed";
      this.write({ type: "pong", data: "probe" });
      this.#session.probed();
    } else if (packet.type === "upgrade" && this.#role === "probed") {
      clearTimeout(this.#upgrading);
      this.#role = "carrying";
      this.#session.upgraded();
    } else this.close(PROTOCOL_ERROR, "expected a probe");
  }
}
