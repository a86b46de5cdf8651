/**
 * A client: one session that speaks Socket.IO 5. It connects to namespaces, each of which has a listener; what breaks
 * the protocol ends the session. A long packet is parsed alone, when all before it is done: as objects it takes many
 * times the memory.
 */
import { PacketType } from "socket.io-parser";
import type { Log } from "../../log.ts";
import { logFault } from "../../sockets/guard.ts";
import type { MessageData } from "../engine/packets.ts";
import type { Session, SessionListener } from "../engine/session.ts";
import { spread } from "../../sockets/spread.ts";
import { ClientSocket, type SocketListener } from "./client_socket.ts";
import { ATTACHMENTS_WITHIN_MS, PacketReader, type Read } from "./packet_reader.ts";

/** Thrown to refuse a client: what it is told, `data` beside the message. */
export class ConnectRefused extends Error {
  override readonly name = "ConnectRefused";

  constructor(message: string, readonly data?: unknown) {
    super(message);
  }
}

export interface Connected {
  /** Tells this connection from others. */
  id: string;
  /** By which the client may ask to go on after it was away. */
  pid?: string;
  listener: SocketListener;
  /** The client has been told; events may follow. */
  greet(): void;
}

export interface ClientOptions {
  connectWithinMs: number;
  maxFrameBytes: number;
  /** Undefined: there is no such namespace. Rejects with ConnectRefused. */
  connect: (socket: ClientSocket, auth: Record<string, unknown>) => Promise<Connected> | undefined;
  /** It has gone. */
  ended: () => void;
  log: Log;
}

const CONNECTS_MAX = 10;
const LONG_CHARS = 64 * 1024;
const PROTOCOL_ERROR = 1002;

interface Namespace {
  socket: ClientSocket;
  /** Undefined while it is asked whether the client may. */
  listener: SocketListener | undefined;
}

export class Client implements SessionListener {
  readonly #session: Session;
  readonly #options: ClientOptions;
  readonly #reader: PacketReader;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #waiting: { data: MessageData; done: () => void }[] = [];
  #undone = 0;
  #isAlone = false;
  #connects = 0;
  #connecting: ReturnType<typeof setTimeout> | undefined;
  #attaching: ReturnType<typeof setTimeout> | undefined;
  #hasEnded = false;

  constructor(session: Session, options: ClientOptions) {
    this.#session = session;
    this.#options = options;
    this.#reader = new PacketReader(options.maxFrameBytes);
    this.#expectConnect();
  }

  received(data: MessageData, done: () => void): void {
    this.#waiting.push({ data, done });
    this.#work();
  }

  ended(): void {
    this.#hasEnded = true;
    clearTimeout(this.#connecting);
    clearTimeout(this.#attaching);
    this.#waiting.length = 0;
    this.#reader.end();
    for (const { listener } of this.#namespaces.values()) listener?.ended();
    this.#namespaces.clear();
    this.#options.ended();
  }

  #work(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const isLong = next.data.length > LONG_CHARS;
      if (this.#isAlone || (isLong && this.#undone > 0)) return;
      this.#waiting.shift();
      this.#undone++;
      this.#isAlone = isLong;
      const { data, done } = next;
      this.#read(data, () => {
        this.#undone--;
        this.#isAlone = false;
        done();
        this.#work();
      });
    }
  }

  #read(data: MessageData, done: () => void): void {
    clearTimeout(this.#attaching);
    let read: Read | undefined;
    try {
      read = this.#reader.read(data);
    } catch {
      this.#break("bad packet");
      return done();
    }
    if (read !== undefined) return this.#take(read, done);
    this.#attaching = setTimeout(() => this.#break("attachments missing"), ATTACHMENTS_WITHIN_MS);
    done();
  }

  #take({ packet, hasAttachments, chars }: Read, done: () => void): void {
    const { type, nsp, data, id } = packet;
    const known = this.#namespaces.get(nsp);
    if (type === PacketType.CONNECT && known === undefined) return this.#connect(nsp, data ?? {}, done);
    if (known?.listener === undefined) this.#break("not connected");
    else if (type === PacketType.EVENT) {
      const [name, ...args] = data;
      const event = { name: String(name), args, isBinary: hasAttachments, chars, id };
      return known.listener.received(event, done);
    } else if (type === PacketType.ACK) known.socket.answered(id, data);
    else if (type === PacketType.DISCONNECT) this.#leave(nsp, known.listener);
    else this.#break("out of order");
    done();
  }

  #connect(nsp: string, auth: Record<string, unknown>, done: () => void): void {
    if (++this.#connects > CONNECTS_MAX) {
      done();
      return this.#break("too many connects");
    }
    const socket = new ClientSocket(nsp, (message) => this.#session.send(message));
    const asked = this.#options.connect(socket, auth);
    if (asked === undefined) {
      socket.send({ type: PacketType.CONNECT_ERROR, data: { message: "Invalid namespace" } });
      return done();
    }
    const namespace: Namespace = { socket, listener: undefined };
    this.#namespaces.set(nsp, namespace);
    clearTimeout(this.#connecting);
    void asked.then(
      (connected) => this.#connected(namespace, connected),
      (fault) => this.#refuse(namespace, fault),
    ).finally(done);
  }

  #connected(namespace: Namespace, { id, pid, listener, greet }: Connected): void {
    if (this.#hasEnded) return listener.ended();
    namespace.listener = listener;
    const data = { sid: id, ...(pid === undefined ? {} : { pid }) };
    namespace.socket.send({ type: PacketType.CONNECT, data });
    greet();
  }

  #refuse({ socket }: Namespace, fault: unknown): void {
    this.#namespaces.delete(socket.namespace);
    this.#expectConnect();
    const told = fault instanceof ConnectRefused
      ? fault
      : new ConnectRefused("Something went wrong on our side");
    if (told !== fault) logFault(this.#options.log, "socketio.connect_fault", fault);
    const data = told.data === undefined ? {} : { data: told.data };
    socket.send({ type: PacketType.CONNECT_ERROR, data: { message: told.message, ...data } });
  }

  #leave(nsp: string, listener: SocketListener): void {
    this.#namespaces.delete(nsp);
    listener.ended();
    this.#expectConnect();
  }

  /** Whoever is connected to nothing has so long to be. */
  #expectConnect(): void {
    clearTimeout(this.#connecting);
    if (this.#hasEnded || this.#namespaces.size > 0) return;
    this.#connecting = setTimeout(
      () => this.#break("nothing connected"),
      spread(this.#options.connectWithinMs),
    );
  }

  #break(reason: string): void {
    this.#session.close(PROTOCOL_ERROR, reason);
  }
}
