/** One namespace of one client, once it is connected: events out, events and acknowledgements in. */
import { Encoder, type Packet, PacketType } from "socket.io-parser";
import type { MessageData } from "../engine/packets.ts";

/** Answers one event. Only the first call counts. */
export type Acknowledge = (...args: unknown[]) => void;

export interface ReceivedEvent {
  name: string;
  args: unknown[];
  /** Among the arguments are bytes. */
  isBinary: boolean;
  /** Of its text. */
  chars: number;
  /** Of the acknowledgement that the client waits for, if it does. */
  id: number | undefined;
}

/** What listens to one namespace of one client. None of these may throw. */
export interface SocketListener {
  /** `done`: when all that it asked for has been answered. */
  received(event: ReceivedEvent, done: () => void): void;
  /** The client has left the namespace, or is gone. */
  ended(): void;
}

/** Answers that a client owes. */
const ACKS_MAX = 1_000;

const encoder = new Encoder();

export class ClientSocket {
  readonly namespace: string;
  readonly #write: (message: MessageData) => void;
  readonly #acks = new Map<number, Acknowledge>();
  #nextId = 0;

  constructor(namespace: string, write: (message: MessageData) => void) {
    this.namespace = namespace;
    this.#write = write;
  }

  /** `onAck`: what the client answers; never called if it does not. */
  emit(event: string, args: readonly unknown[], onAck?: Acknowledge): void {
    const data = [event, ...args];
    if (onAck === undefined) return this.send({ type: PacketType.EVENT, data });
    if (this.#acks.size >= ACKS_MAX) throw new RangeError("The client owes too many answers");
    const id = this.#nextId++;
    this.#acks.set(id, onAck);
    this.send({ type: PacketType.EVENT, data, id });
  }

  acknowledge(id: number, args: unknown[]): void {
    this.send({ type: PacketType.ACK, data: args, id });
  }

  send(packet: Omit<Packet, "nsp">): void {
    for (const message of encoder.encode({ ...packet, nsp: this.namespace })) this.#write(message);
  }

  /** A packet that is text already. */
  sendEncoded(packet: string): void {
    this.#write(packet);
  }

  /** The client has answered; what nobody asked for is nothing. */
  answered(id: number | undefined, args: unknown[]): void {
    const ack = id === undefined ? undefined : this.#acks.get(id);
    if (id !== undefined) this.#acks.delete(id);
    ack?.(...args);
  }
}
