/**
 * A hearing: all that one listener was told of one room, from its join to its leave, as it came. It records and
 * judges nothing; hearing_check.ts does.
 */
import type { Message } from "../../src/protocol/models.ts";

/** A sequenced push. */
export interface Heard {
  event: string;
  roomId: string;
  after: number;
  seq: number;
  /** Of message_received. */
  message: Message | undefined;
}

export interface HearingLog {
  readonly nick: string;
  readonly roomId: string;
  /** The position of the join's answer: what came before it was told by `page` and history. */
  readonly from: number | undefined;
  /** The newest messages, in the join's answer. */
  readonly page: { messages: readonly Message[]; hasMoreBefore: boolean };
  /** The place of the listener's own leave; undefined if it stayed to the end. */
  readonly until: number | undefined;
  readonly heard: readonly Heard[];
}

/** One object per content: a thousand listeners of a message share it, and it is compared once. */
export class MessagePool {
  readonly #known = new Map<string, Message>();

  share(message: Message): Message {
    const text = JSON.stringify(message);
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    this.#known.set(text, message);
    return message;
  }
}

export interface JoinAnswer {
  position: { seq: number };
  messages: Message[];
  hasMoreBefore: boolean;
}

export class Hearing implements HearingLog {
  from: number | undefined;
  until: number | undefined;
  page: HearingLog["page"] = { messages: [], hasMoreBefore: false };
  readonly heard: Heard[] = [];
  readonly nick: string;
  readonly userId: string;
  readonly roomId: string;
  readonly #pool: MessagePool;
  readonly #left = Promise.withResolvers<void>();
  #position = 0;

  constructor(who: { nick: string; userId: string; roomId: string }, pool: MessagePool) {
    this.nick = who.nick;
    this.userId = who.userId;
    this.roomId = who.roomId;
    this.#pool = pool;
  }

  /** Resolves when the listener has heard of its own leave. */
  get left(): Promise<void> {
    return this.#left.promise;
  }

  /** The furthest place it knows. */
  get position(): number {
    return this.#position;
  }

  begin(answer: JoinAnswer): void {
    this.from = answer.position.seq;
    this.#position = Math.max(this.#position, this.from);
    const messages = answer.messages.map((message) => this.#pool.share(message));
    this.page = { messages, hasMoreBefore: answer.hasMoreBefore };
  }

  /** Keeps a sequenced push of any room; gives its message, if that is what it brought. */
  record(event: string, data: Readonly<Record<string, unknown>>): Message | undefined {
    const { roomId, after, seq } = data;
    if (typeof roomId !== "string" || typeof after !== "number" || typeof seq !== "number") return undefined;
    const message = event === "message_received"
      ? this.#pool.share(data["message"] as unknown as Message)
      : undefined;
    this.heard.push({ event, roomId, after, seq, message });
    if (roomId !== this.roomId) return message;
    this.#position = Math.max(this.#position, seq);
    if (event === "user_left" && data["userId"] === this.userId) {
      this.until ??= seq;
      this.#left.resolve();
    }
    return message;
  }
}
