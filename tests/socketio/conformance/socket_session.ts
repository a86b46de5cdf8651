/** A connection that speaks Socket.IO by hand: packets without Engine.IO's 4 in front of them. */
import { deepStrictEqual } from "node:assert/strict";
import { type Packet, PacketSocket } from "./packet_socket.ts";
import { PollingSession } from "./polling.ts";

export class SocketSession implements AsyncDisposable {
  readonly socket: PacketSocket;

  private constructor(socket: PacketSocket) {
    this.socket = socket;
  }

  /** By WebSocket; connected to nothing. */
  static async open({ socket }: { socket: string }): Promise<SocketSession> {
    return new SocketSession(await PacketSocket.session(socket));
  }

  /** Connected to the main namespace, and greeted. */
  static async connected(echo: { socket: string }): Promise<SocketSession> {
    const session = await SocketSession.open(echo);
    await session.connect();
    return session;
  }

  /** Gives the sid. */
  async connect(namespace = "/", auth?: unknown): Promise<string> {
    const prefix = namespace === "/" ? "" : `${namespace},`;
    this.send(`0${prefix}${auth === undefined ? "" : JSON.stringify(auth)}`);
    const text = String(await this.next());
    deepStrictEqual(text.slice(0, 1 + prefix.length), `0${prefix}`);
    const { sid, ...rest } = JSON.parse(text.slice(1 + prefix.length));
    deepStrictEqual([typeof sid, rest], ["string", {}]);
    deepStrictEqual(await this.next(), `2${prefix}${JSON.stringify(["auth", auth ?? {}])}`);
    return sid;
  }

  send(...packets: (string | Uint8Array<ArrayBuffer>)[]): void {
    for (const packet of packets) this.socket.send(typeof packet === "string" ? `4${packet}` : packet);
  }

  /** Pings are answered and not shown. */
  async next(): Promise<Packet> {
    const packet = await this.socket.next();
    if (typeof packet !== "string") return packet;
    deepStrictEqual(packet.slice(0, 1), "4", `Not a message: ${packet}`);
    return packet.slice(1);
  }

  async take(count: number): Promise<Packet[]> {
    const packets: Packet[] = [];
    while (packets.length < count) packets.push(await this.next());
    return packets;
  }

  /** What is emitted still comes back, and nothing had come before it. */
  async requireAlive(): Promise<void> {
    this.send('2["message","alive"]');
    deepStrictEqual(await this.next(), '2["message-back","alive"]');
  }

  async untilClosed(): Promise<void> {
    await this.socket.untilClosed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.socket[Symbol.asyncDispose]();
  }
}

/** Connected to the main namespace, and greeted; packets have Engine.IO's 4 in front of them. */
export async function connectedByPolling({ socket }: { socket: string }): Promise<PollingSession> {
  const session = await PollingSession.open(socket);
  await session.send("40");
  await session.take(2);
  return session;
}

/** Sent by somebody who is connected, it closes the connection. */
export const closesTheConnection =
  (...packets: (string | Uint8Array<ArrayBuffer>)[]): (echo: { socket: string }) => Promise<void> =>
  async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send(...packets);
    await session.untilClosed();
  };

/** Sent by somebody who is connected, it changes nothing. */
export const meansNothing =
  (...packets: (string | Uint8Array<ArrayBuffer>)[]): (echo: { socket: string }) => Promise<void> =>
  async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send(...packets);
    await session.requireAlive();
  };
