/** One Socket.IO client in chat: its events are commands, acknowledged or not, and pushes go out to it as events. */
import type { Outlet } from "../delivery/connection.ts";
import type { Topic } from "../delivery/pushes.ts";
import { closeCodes, type CloseReason } from "../protocol/close_codes.ts";
import { ChatError } from "../protocol/errors.ts";
import { toJson } from "../protocol/json_text.ts";
import { CommandSession, type Reply, type SessionUses } from "../sockets/command_session.ts";
import type { Session } from "./engine/session.ts";
import { EventQueue } from "./event_queue.ts";
import type { ClientSocket, ReceivedEvent, SocketListener } from "./protocol/client_socket.ts";
import { encodeAck, socketIoWire } from "./wire.ts";

export class ChatSocket implements Outlet, SocketListener {
  readonly wire = socketIoWire;
  /** What it asks for. */
  readonly commands: CommandSession;
  readonly queue: EventQueue;
  readonly #session: Session;

  constructor(socket: ClientSocket, session: Session, uses: SessionUses) {
    this.#session = session;
    this.queue = new EventQueue((packet) => socket.sendEncoded(packet));
    this.commands = new CommandSession({
      queuedBytes: () => this.queuedBytes(),
      tellError: (error) => this.send(this.wire.encodePush("error", toJson(error))),
      closeFor: (reason) => this.closeFor(reason),
    }, uses);
  }

  received({ name, args, isBinary, chars, id }: ReceivedEvent, done: () => void): void {
    const reply: Reply | undefined = id === undefined ? undefined : {
      answer: (data) => this.queue.packet(encodeAck(id, data)),
      refuse: (error) => this.queue.packet(encodeAck(id, toJson({ error }))),
    };
    if (this.commands.weigh(chars)) return done();
    const bad = isBinary
      ? new ChatError("invalid_request", "No command takes bytes: upload files over HTTP")
      : args.slice(1).some((arg) => arg !== null)
      ? new ChatError("invalid_request", "Expected one argument, and perhaps an acknowledgement")
      : undefined;
    if (bad === undefined) return this.commands.take({ event: name, data: args[0], reply }, done);
    this.commands.refuse(bad, reply);
    done();
  }

  ended(): void {
    this.commands.end();
  }

  send(frame: string): void {
    this.queue.event(frame);
  }

  told(topic: Topic, seq: number): void {
    this.queue.told(topic, seq);
  }

  forget(topic: Topic): void {
    this.queue.forget(topic);
  }

  queuedBytes(): number {
    return this.#session.queuedBytes + this.queue.bytes;
  }

  /** The transport is closed, not the namespace: a client that is sent away by name does not come back by itself. */
  close(code: number, reason: string): void {
    this.queue.flush();
    this.#session.close(code, reason);
  }

  closeFor(reason: CloseReason): void {
    this.close(closeCodes[reason].code, reason);
  }
}
