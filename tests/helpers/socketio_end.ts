/**
 * The end of a socket.io-client, waited for: it says that it is closed while its WebSockets still wait for the server's
 * goodbye. Nothing else about the client is touched. An end that does not come fails.
 */
import type { Manager, Socket } from "socket.io-client";
import { withDeadline } from "./deadline.ts";

/** Of the package `ws`, which it uses where there is no browser. */
interface EndingSocket {
  readyState: number;
  once(event: "close", listener: () => void): void;
}

interface SomeTransport {
  ws?: EndingSocket | null;
}

const CLOSED = 3;
/** Longer than a client takes to notice that nobody answers. */
const END_MS = 60_000;

export class SocketIoEnd {
  readonly #socket: Socket;
  readonly #webSockets = new Set<EndingSocket>();

  /** From its beginning: WebSockets of every life are waited for. */
  constructor(socket: Socket) {
    this.#socket = socket;
    const manager: Manager = socket.io;
    manager.on("open", () => {
      const { engine } = manager;
      this.#note(engine.transport);
      engine.on("upgrading", (transport) => this.#note(transport));
      engine.on("upgrade", (transport) => this.#note(transport));
    });
  }

  #note(transport: unknown): void {
    const { ws } = transport as SomeTransport;
    if (ws === undefined || ws === null || this.#webSockets.has(ws)) return;
    this.#webSockets.add(ws);
    ws.once("close", () => this.#webSockets.delete(ws));
  }

  /** It disconnects, and does not come back. */
  async come(): Promise<void> {
    const engine = this.#socket.io.engine as Manager["engine"] | undefined;
    const isOver = engine === undefined || engine.readyState === "closed";
    const closed = isOver
      ? Promise.resolve()
      : new Promise<void>((resolve) => engine.once("close", () => resolve()));
    this.#socket.disconnect();
    const ended = closed.then(() => this.#untilClosed());
    await withDeadline(ended, END_MS, () => {
      const webSockets = [...this.#webSockets].map(({ readyState }) => readyState);
      return `the end of a client: engine ${engine?.readyState}, WebSockets ${webSockets.join(", ")}`;
    });
  }

  async #untilClosed(): Promise<void> {
    const ending = [...this.#webSockets].filter(({ readyState }) => readyState !== CLOSED);
    await Promise.all(ending.map((ws) => new Promise<void>((resolve) => ws.once("close", resolve))));
  }
}
