/** The native door: a bare WebSocket with the token in its subprotocol, one JSON object a frame. */
import { SUBPROTOCOL, SUBPROTOCOL_BEARER } from "../../src/protocol/limits.ts";
import type { Door, Ears, Link } from "./door.ts";
import { Refusal, toRefusal } from "./refusal.ts";

const HELLO_WITHIN_MS = 30_000;
const ANSWER_WITHIN_MS = 30_000;
const CLOSE_WITHIN_MS = 5_000;

/** Sockets go to the servers in turn: neighbours in a room sit on different nodes. */
export function nativeDoor(serverUrls: readonly string[]): Door {
  const urls = serverUrls.map((serverUrl) => {
    const url = new URL("/ws", serverUrl);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url;
  });
  let turn = 0;
  return {
    name: "native",
    connect: async (token, ears) => {
      const url = urls[turn++ % urls.length] ?? "";
      const link = new NativeLink(new WebSocket(url, [SUBPROTOCOL, SUBPROTOCOL_BEARER + token]), ears);
      await link.greeted;
      return link;
    },
  };
}

interface Call {
  resolve: (data: unknown) => void;
  reject: (fault: Refusal) => void;
  timer: ReturnType<typeof setTimeout>;
}

class NativeLink implements Link {
  userId = "";
  readonly #socket: WebSocket;
  readonly #ears: Ears;
  readonly #calls = new Map<number, Call>();
  readonly #greeted = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #helloTimer: ReturnType<typeof setTimeout>;
  #lastId = 0;
  #state: "opening" | "open" | "closing" = "opening";
  /** Why the server would not greet us. */
  #refusal: Refusal | undefined;

  constructor(socket: WebSocket, ears: Ears) {
    this.#socket = socket;
    this.#ears = ears;
    this.#helloTimer = setTimeout(() => {
      this.#greeted.reject(new Refusal("no_answer", "The server did not say hello"));
      void this.close();
    }, HELLO_WITHIN_MS);
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => this.#closed(`${code}${reason === "" ? "" : ` ${reason}`}`);
    socket.onerror = () => {}; // a close follows
  }

  get greeted(): Promise<void> {
    return this.#greeted.promise;
  }

  call(event: string, data: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) {
        return reject(new Refusal("closed", "The socket is closed"));
      }
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#calls.delete(id);
        reject(new Refusal("no_answer", `${event} had no answer within ${ANSWER_WITHIN_MS / 1000} s`));
      }, ANSWER_WITHIN_MS);
      this.#calls.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ event, data, id }));
    });
  }

  async close(): Promise<void> {
    this.#state = "closing";
    if (this.#socket.readyState <= WebSocket.OPEN) this.#socket.close();
    const timer = setTimeout(() => this.#closed("1006"), CLOSE_WITHIN_MS);
    await this.#ended.promise;
    clearTimeout(timer);
  }

  #received(data: unknown): void {
    const frame = JSON.parse(String(data)) as Record<string, unknown>;
    if ("ack" in frame) return this.#answered(frame);
    const { event, data: pushed } = frame as { event: string; data: Record<string, unknown> };
    if (event === "hello") this.#greet(String(pushed["userId"]));
    else if (this.#state === "opening" && event === "error") this.#refusal = toRefusal(pushed);
    else this.#ears.push(event, pushed);
  }

  #greet(userId: string): void {
    clearTimeout(this.#helloTimer);
    this.#state = "open";
    this.userId = userId;
    this.#greeted.resolve();
  }

  #answered(frame: Record<string, unknown>): void {
    const call = this.#calls.get(Number(frame["ack"]));
    if (call === undefined) return; // given up
    this.#calls.delete(Number(frame["ack"]));
    clearTimeout(call.timer);
    if ("error" in frame) call.reject(toRefusal(frame["error"]));
    else call.resolve(frame["data"]);
  }

  #closed(reason: string): void {
    clearTimeout(this.#helloTimer);
    const refusal = new Refusal("closed", `The socket closed: ${reason}`);
    this.#greeted.reject(this.#refusal ?? refusal);
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer);
      call.reject(refusal);
    }
    this.#calls.clear();
    if (this.#state === "open") this.#ears.closed(reason);
    this.#state = "closing";
    this.#ended.resolve();
  }
}
