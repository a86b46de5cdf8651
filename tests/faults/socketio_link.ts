/**
 * A client's way to the server by the published socket.io-client, used as its users use it: it comes back by itself and
 * recovers; where a node does not answer, the next one is asked.
 */
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { SocketIoEnd } from "../helpers/socketio_end.ts";
import { Refused } from "../helpers/test_socket.ts";
import { type Json, type Link, type LinkInit, LinkLost } from "./link.ts";

export type Transports = readonly ("polling" | "websocket")[];

const ANSWER_MS = 7_000;
const OPEN_MS = 3_000;
const [RETRY_MIN_MS, RETRY_MAX_MS] = [100, 1_000];

export class SocketIoLink implements Link {
  readonly #init: LinkInit;
  readonly #socket: Socket;
  readonly #end: SocketIoEnd;
  readonly closes: { code: number; why: string }[] = [];
  drainings = 0;
  lives = 0;
  recoveries = 0;
  isPatient = false; // its heartbeat is not ours to stop
  #turn = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(init: LinkInit, transports: Transports) {
    this.#init = init;
    const options: Partial<ManagerOptions & SocketOptions> = {
      ...{ transports: [...transports], auth: { token: init.token }, autoConnect: false, forceNew: true },
      ...{ reconnectionDelay: RETRY_MIN_MS, reconnectionDelayMax: RETRY_MAX_MS, timeout: OPEN_MS },
    };
    this.#socket = io(init.urls[0] ?? "", options);
    this.#end = new SocketIoEnd(this.#socket);
    this.#listen(this.#socket);
  }

  static by(transports: Transports): (init: LinkInit) => SocketIoLink {
    return (init) => new SocketIoLink(init, transports);
  }

  start(): void {
    this.#socket.connect();
  }

  get isOpen(): boolean {
    return this.#socket.connected && !this.#ended;
  }

  async call(event: string, data: unknown): Promise<Json> {
    if (!this.isOpen) throw new LinkLost("not open");
    const { id } = this.#socket;
    let answer: Json;
    try {
      answer = await this.#socket.timeout(ANSWER_MS).emitWithAck(event, data);
    } catch (fault) {
      if (this.#socket.id === id) this.#socket.io.engine.close(); // as good as gone
      throw new LinkLost(`no answer to ${event}: ${fault}`);
    }
    if (answer?.error !== undefined) throw new Refused(answer.error.code, answer.error);
    return answer;
  }

  #listen(socket: Socket): void {
    socket.on("connect", () => {
      this.lives++;
      if (socket.recovered) this.recoveries++;
      this.#init.onOpen(socket.recovered === true); // undefined where nothing can be
    });
    socket.on("disconnect", (why) => {
      if (this.#ended) return;
      this.closes.push({ code: 0, why });
      this.#toNextNode();
      if (!socket.active) this.#later(); // told to go by the server
    });
    socket.on("connect_error", () => {
      if (this.#ended) return;
      this.#toNextNode();
      if (!socket.active) this.#later(); // refused
    });
    socket.onAny((event: string, data: Json) => {
      if (event === "server_draining") this.drainings++;
      this.#init.onPush(event, data);
    });
  }

  /** There is one address for all nodes where it is deployed; here there is none. */
  #toNextNode(): void {
    const { urls } = this.#init;
    Object.assign(this.#socket.io, { uri: urls[++this.#turn % urls.length] });
  }

  #later(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(
      () => this.#socket.connect(),
      RETRY_MAX_MS * (0.5 + this.#init.random() / 2),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#retry);
    await this.#end.come();
  }
}
