/**
 * A client's way to the server: a native WebSocket that comes back with jitter, at the next node if need be. It knows a
 * dead link as any client has to: nothing came for a while, so it asks for something, and nothing came still.
 */
import { SUBPROTOCOL, SUBPROTOCOL_BEARER } from "../../src/protocol/limits.ts";
import { Refused } from "../helpers/test_socket.ts";
import { type Json, type Link, type LinkInit, LinkLost } from "./link.ts";

const ANSWER_MS = 7_000;
const OPEN_MS = 3_000;
const SILENCE_MS = 3_000;
const [RETRY_MIN_MS, RETRY_MAX_MS] = [100, 1_000];

export class ChatLink implements Link {
  readonly #init: LinkInit;
  readonly #answers = new Map<number, { resolve: (data: Json) => void; reject: (fault: Error) => void }>();
  /** Sockets that have not ended, given up or not. */
  readonly #sockets = new Map<WebSocket, Promise<void>>();
  readonly closes: { code: number; why: string }[] = [];
  drainings = 0;
  #socket: WebSocket | undefined;
  #isOpen = false;
  #lastId = 0;
  #turn = 0;
  #attempt = 0;
  #heardAt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #opening: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #ended = false;
  isPatient = false;
  lives = 0;
  readonly recoveries = 0; // it says itself what it has

  constructor(init: LinkInit) {
    this.#init = init;
  }

  start(): void {
    this.#watch = setInterval(() => this.#lookAlive(), 500);
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  call(event: string, data: unknown): Promise<Json> {
    const socket = this.#socket;
    if (!this.#isOpen || socket === undefined) return Promise.reject(new LinkLost("not open"));
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    const timer = setTimeout(() => this.#giveUp(socket, `no answer to ${event}`), ANSWER_MS);
    const settle = <T>(then: (value: T) => void) => (value: T): void => {
      clearTimeout(timer);
      then(value);
    };
    this.#answers.set(id, { resolve: settle(resolve), reject: settle(reject) });
    socket.send(JSON.stringify({ event, data, id }));
    return promise;
  }

  #connect(): void {
    const { urls, token } = this.#init;
    const url = urls[this.#turn % urls.length] ?? "";
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, [
      SUBPROTOCOL,
      SUBPROTOCOL_BEARER + token,
    ]);
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#sockets.set(socket, promise);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(JSON.parse(data));
    let fault = "";
    socket.onclose = ({ code }) => {
      this.#sockets.delete(socket);
      resolve();
      if (socket === this.#socket) this.#lost(code, `closed with ${code} ${fault}`);
    };
    socket.onerror = (event) => { // a close follows
      if (event instanceof ErrorEvent) fault = event.message;
    };
    this.#opening = setTimeout(() => this.#giveUp(socket, "did not open"), OPEN_MS);
  }

  #take(frame: Json): void {
    this.#heardAt = performance.now();
    if (frame.ack === undefined) {
      if (frame.event === "hello") this.#opened();
      if (frame.event === "server_draining") this.drainings++;
      return this.#init.onPush(frame.event, frame.data);
    }
    const answer = this.#answers.get(frame.ack);
    this.#answers.delete(frame.ack);
    if (frame.error === undefined) answer?.resolve(frame.data);
    else answer?.reject(new Refused(frame.error.code, frame.error));
  }

  #opened(): void {
    clearTimeout(this.#opening);
    this.#isOpen = true;
    this.#attempt = 0;
    this.lives++;
    this.#init.onOpen(false);
  }

  #lookAlive(): void {
    if (!this.#isOpen || this.isPatient || performance.now() - this.#heardAt < SILENCE_MS) return;
    const socket = this.#socket;
    this.#heardAt = performance.now(); // ask once
    const timer = setTimeout(() => socket !== undefined && this.#giveUp(socket, "silent"), SILENCE_MS);
    this.call("list_blocked", {}).catch(() => {}).finally(() => clearTimeout(timer));
  }

  /** The socket may take its time to end, or never do so; we go on without it. */
  #giveUp(socket: WebSocket, why: string): void {
    if (socket !== this.#socket) return;
    try {
      socket.close();
    } catch {
      // it was about to end
    }
    this.#lost(0, why);
  }

  #lost(code: number, why: string): void {
    if (!this.#ended && this.#isOpen) this.closes.push({ code, why });
    clearTimeout(this.#opening);
    this.#socket = undefined;
    this.#isOpen = false;
    for (const { reject } of this.#answers.values()) reject(new LinkLost(why));
    this.#answers.clear();
    if (this.#ended) return;
    this.#turn++;
    const waitMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#attempt++);
    this.#retry = setTimeout(() => this.#connect(), waitMs * (0.5 + this.#init.random() / 2));
  }

  /** What must not wait for a server any more: sockets end when their connections do. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#opening);
    clearInterval(this.#watch);
    for (const socket of this.#sockets.keys()) {
      if (socket.readyState <= WebSocket.OPEN) socket.close();
    }
    await Promise.all(this.#sockets.values());
    for (const { reject } of this.#answers.values()) reject(new LinkLost("ended"));
  }
}
