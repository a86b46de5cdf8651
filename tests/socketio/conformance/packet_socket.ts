/** A WebSocket that takes one packet at a time. Pings are answered and not shown, unless they are what is looked at. */
import { deepStrictEqual } from "node:assert/strict";
import { Changes } from "../../helpers/deadline.ts";
import { RawClient } from "../../helpers/raw_client.ts";
import { address, openPacketOf } from "./polling.ts";

const WAIT_MS = 10_000;

export type Packet = string | Uint8Array;

export interface PacketSocketInit {
  /** False: pings come as packets. */
  answersPings?: boolean;
}

export class PacketSocket implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #packets: Packet[] = [];
  readonly #changes = new Changes();
  #closed: { code: number } | undefined;
  isOpen = false;

  constructor(url: string, { answersPings = true }: PacketSocketInit = {}) {
    const socket = new WebSocket(url.replace("http", "ws"));
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.isOpen = true;
      this.#changes.tell();
    };
    socket.onmessage = ({ data }) => {
      if (data === "2" && answersPings) return this.send("3");
      this.#packets.push(typeof data === "string" ? data : new Uint8Array(data));
      this.#changes.tell();
    };
    socket.onerror = () => {}; // a close follows
    socket.onclose = ({ code }) => {
      this.#closed = { code };
      this.#changes.tell();
    };
  }

  /** A session of its own, whose open packet was read. */
  static async session(base: string, init: PacketSocketInit = {}): Promise<PacketSocket> {
    const socket = new PacketSocket(address(base, { transport: "websocket" }), init);
    openPacketOf(await socket.next());
    return socket;
  }

  /** Beside a session that exists; open, or closed already. */
  static async beside(base: string, sid: string, init: PacketSocketInit = {}): Promise<PacketSocket> {
    const socket = new PacketSocket(address(base, { transport: "websocket", sid }), init);
    await socket.#until(() => socket.isOpen || socket.#closed !== undefined, "the handshake");
    return socket;
  }

  /** Beside a polling session, and in its place. */
  static async upgraded(base: string, sid: string, init: PacketSocketInit = {}): Promise<PacketSocket> {
    const socket = await PacketSocket.beside(base, sid, init);
    await socket.probe();
    socket.send("5");
    return socket;
  }

  async probe(): Promise<void> {
    this.send("2probe");
    deepStrictEqual(await this.next(), "3probe");
  }

  send(packet: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(packet);
  }

  /** The next packet; rejects if the socket closes before it comes. */
  async next(): Promise<Packet> {
    await this.#until(() => this.#packets.length > 0 || this.#closed !== undefined, "a packet");
    const packet = this.#packets.shift();
    if (packet === undefined) throw new Error(`The socket was closed with ${this.#closed?.code}`);
    return packet;
  }

  async take(count: number): Promise<Packet[]> {
    const packets: Packet[] = [];
    while (packets.length < count) packets.push(await this.next());
    return packets;
  }

  /** By the other side; what came before may be unread. */
  async untilClosed(waitMs: number = WAIT_MS): Promise<{ code: number }> {
    await this.#until(() => this.#closed !== undefined, "the close", waitMs);
    return this.#closed ?? { code: 0 };
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** What is sent still comes back, and nothing had come before it. */
  async requireAlive(): Promise<void> {
    this.send("4alive");
    deepStrictEqual(await this.next(), "4alive");
  }

  #until(holds: () => boolean, what: string, waitMs = WAIT_MS): Promise<void> {
    return this.#changes.until(holds, waitMs, () => what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed !== undefined) return;
    this.#socket.close();
    await this.untilClosed();
  }
}

/** A WebSocket whose frames, and the pieces they are written in, are the caller's. */
export async function openRaw(url: string): Promise<RawClient> {
  const { port, hostname, pathname, search } = new URL(url);
  return await RawClient.open(Number(port), {
    path: pathname + search,
    headers: { Host: `${hostname}:${port}` },
  });
}
