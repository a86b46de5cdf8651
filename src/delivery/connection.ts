/**
 * A connection: one client link on this node, whatever the transport. It knows who is at the other end, what
 * it hears and why it was closed. Its queue is the transport's own, looked at before every push.
 */
import { closeCodes, type CloseReason } from "../protocol/close_codes.ts";
import type { ConnectionId, UserId } from "../protocol/ids.ts";
import { type JsonText, toJson } from "../protocol/json_text.ts";
import { EPHEMERAL_QUEUE_BYTES_MAX, SEND_QUEUE_BYTES_MAX } from "../protocol/limits.ts";
import type { EphemeralPush } from "./ephemeral.ts";
import type { Push, Wire } from "./push.ts";
import type { Topic } from "./pushes.ts";

/** The transport's end. None of these throws. */
export interface Outlet {
  readonly wire: Wire;
  send(frame: string): void;
  /** Bytes accepted and not yet with the peer. */
  queuedBytes(): number;
  close(code: number, reason: string): void;
  /** Everything of the stream up to `seq` is with the client once what is sent next is; for who keeps account of it. */
  told?(topic: Topic, seq: number): void;
  /** The client hears no more of the stream. */
  forget?(topic: Topic): void;
}

export class Connection {
  readonly id: ConnectionId;
  readonly userId: UserId;
  readonly #outlet: Outlet;
  #closed: CloseReason | "gone" | undefined;
  #underWay = 0;
  #onIdle: (() => void) | undefined;
  /** Of what is queued, so much had been asked for. */
  #answerBytes = 0;

  constructor(id: ConnectionId, userId: UserId, outlet: Outlet) {
    this.id = id;
    this.userId = userId;
    this.#outlet = outlet;
  }

  /** Why it ended; "gone" if the client went. Kept here, since a socket closed by us tells 1005 of itself. */
  get closed(): CloseReason | "gone" | undefined {
    return this.#closed;
  }

  told(topic: Topic, seq: number): void {
    this.#outlet.told?.(topic, seq);
  }

  forget(topic: Topic): void {
    if (this.#closed === undefined) this.#outlet.forget?.(topic);
  }

  /** A push of a stream; a peer that does not read is closed, and catches up when it is back. */
  offer(push: Push): void {
    if (this.#closed !== undefined) return;
    const frame = push.frameFor(this.#outlet.wire);
    const queuedBytes = this.#outlet.queuedBytes();
    this.#answerBytes = Math.min(this.#answerBytes, queuedBytes);
    if (queuedBytes - this.#answerBytes + frame.length > SEND_QUEUE_BYTES_MAX) this.close("slow_consumer");
    else this.#outlet.send(frame);
  }

  /** What may be lost: nobody is closed for not reading it. */
  offerEphemeral(push: EphemeralPush): void {
    if (this.#closed !== undefined || this.#outlet.queuedBytes() > EPHEMERAL_QUEUE_BYTES_MAX) return;
    this.#outlet.send(push.frameFor(this.#outlet.wire));
  }

  /** An answer has just been queued, perhaps a long one: nobody is slow because it has not been read in this turn. */
  answered(): void {
    this.#answerBytes = this.#outlet.queuedBytes();
  }

  /** An event for this connection alone. */
  tell(event: string, data: JsonText): void {
    if (this.#closed === undefined) this.#outlet.send(this.#outlet.wire.encodePush(event, data));
  }

  tellObject(event: string, data: object): void {
    this.tell(event, toJson(data));
  }

  close(reason: CloseReason): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#outlet.close(closeCodes[reason].code, reason);
  }

  /** A command of the client is under way. */
  begin(): void {
    this.#underWay++;
  }

  /** It is over; its answer goes out in this turn. */
  done(): void {
    this.#underWay--;
    if (this.#underWay === 0) this.#onIdle?.();
  }

  /** No more commands are to be taken. */
  get isLeaving(): boolean {
    return this.#onIdle !== undefined;
  }

  /** Closes once what is under way has its answers, or after `patienceMs`. */
  async leave(reason: CloseReason, patienceMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      timer = setTimeout(resolve, this.#underWay === 0 ? 0 : patienceMs);
    });
    clearTimeout(timer);
    await new Promise((resolve) => setTimeout(resolve, 0)); // a turn for the answers to leave
    this.close(reason);
  }

  /** The transport saw the client go. */
  gone(): void {
    this.#closed ??= "gone";
  }
}
