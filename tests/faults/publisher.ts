/** A publisher: numbered messages at a steady rate, each tried under its own clientMessageId until it is acknowledged. */
import { Refused } from "../helpers/test_socket.ts";
import { type Link, LinkLost, type OpenLink } from "./link.ts";

/** Few enough to keep within a user's rate when all are tried again. */
const UNDER_WAY_MAX = 20;
const [RETRY_MIN_MS, RETRY_MAX_MS] = [100, 1_000];

export interface Sent {
  clientMessageId: string;
  content: string;
  roomId: string;
  /** When it was first tried. */
  at: number;
  ack: { id: string; seq: number; at: number } | undefined;
  tries: number;
}

export interface PublisherInit {
  userId: string;
  token: string;
  urls: readonly string[];
  roomId: string;
  random: () => number;
  openLink: OpenLink;
  perSecond: number;
  /** Characters of a message, at least. */
  length?: number;
}

export class Publisher implements AsyncDisposable {
  readonly userId: string;
  readonly sent: Sent[] = [];
  /** Answers that nobody should get: a refusal that no retry can help, another id for the same message. */
  readonly faults: string[] = [];
  readonly link: Link;
  readonly #init: PublisherInit;
  readonly #waiting: Sent[] = [];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #underWay = 0;
  #clock: ReturnType<typeof setInterval> | undefined;

  constructor(init: PublisherInit) {
    this.#init = init;
    this.userId = init.userId;
    this.link = init.openLink({ ...init, onOpen: () => this.#pour(), onPush: () => {} });
  }

  begin(): void {
    this.#clock = setInterval(() => this.#make(), 1000 / this.#init.perSecond);
  }

  /** What is not acknowledged is tried on. */
  stop(): void {
    clearInterval(this.#clock);
  }

  get unacked(): number {
    return this.sent.reduce((count, { ack }) => count + (ack === undefined ? 1 : 0), 0);
  }

  /** Symbols, not to be compressed, for they have to need their place on wires and disks, and no work for the search. */
  #text(clientMessageId: string): string {
    const { length = 0, random } = this.#init;
    if (length === 0) return clientMessageId;
    return `${clientMessageId} ${
      String.fromCharCode(...Array.from({ length }, () => 0x2190 + random() * 2_600))
    }`;
  }

  #make(): void {
    const clientMessageId = `${this.userId}-${this.sent.length}`;
    const sent: Sent = {
      clientMessageId,
      content: this.#text(clientMessageId),
      roomId: this.#init.roomId,
      at: performance.now(),
      ack: undefined,
      tries: 0,
    };
    this.sent.push(sent);
    this.#waiting.push(sent);
    this.#pour();
  }

  #pour(): void {
    while (this.link.isOpen && this.#underWay < UNDER_WAY_MAX) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#underWay++;
      void this.#try(next).finally(() => {
        this.#underWay--;
        this.#pour();
      });
    }
  }

  async #try(sent: Sent): Promise<void> {
    sent.tries++;
    try {
      const { message } = await this.link.call("send_message", {
        roomId: sent.roomId,
        clientMessageId: sent.clientMessageId,
        content: sent.content,
      });
      if (message.clientMessageId !== sent.clientMessageId) this.faults.push("the ack of another message");
      sent.ack ??= { id: message.id, seq: message.seq, at: performance.now() };
    } catch (fault) {
      if (fault instanceof LinkLost) this.#waiting.unshift(sent);
      else if (fault instanceof Refused && fault.body.retryable && fault.code !== "internal") {
        await this.#later(sent);
      } else this.faults.push(String(fault));
    }
  }

  #later(sent: Sent): Promise<void> {
    const backoffMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** sent.tries) *
      (0.5 + this.#init.random() / 2);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#waiting.unshift(sent);
        resolve();
      }, backoffMs);
      this.#timers.add(timer);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    await this.link[Symbol.asyncDispose]();
  }
}
