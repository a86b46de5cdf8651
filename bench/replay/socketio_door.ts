/**
 * The Socket.IO door: the published socket.io-client, with its own transports or with those that are named. It tries to
 * connect as it always does, again and again; it does not come back: a link that ends is what a replay has to hear of.
 */
import { Agent } from "node:http";
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { SocketIoEnd } from "../../tests/helpers/socketio_end.ts";
import type { Door, Ears, Link } from "./door.ts";
import { Refusal, toRefusal } from "./refusal.ts";

const HELLO_WITHIN_MS = 60_000;
const RETRY_MAX_MS = 2_000;
const ANSWER_WITHIN_MS = 30_000;

/** `transports`: undefined is the client's default, polling first and then an upgrade. */
export function socketIoDoor(
  serverUrls: readonly string[],
  name: string,
  transports?: readonly ("polling" | "websocket")[],
): Door {
  let turn = 0;
  return {
    name,
    connect: async (token, ears) => {
      const options: Partial<ManagerOptions & SocketOptions> = {
        ...{ auth: { token }, forceNew: true, reconnectionDelayMax: RETRY_MAX_MS },
        ...(transports === undefined ? {} : { transports: [...transports] }),
      };
      const agent = new Agent({ keepAlive: true }); // as browsers do
      Object.assign(options, { agent }); // documented for Node, and missing in its types
      const socket = io(serverUrls[turn++ % serverUrls.length] ?? "", options);
      const link = new SocketIoLink(socket, agent, ears);
      try {
        await link.greeted;
      } catch (fault) {
        await link.close();
        throw fault;
      }
      return link;
    },
  };
}

class SocketIoLink implements Link {
  userId = "";
  readonly #socket: Socket;
  readonly #agent: Agent;
  readonly #end: SocketIoEnd;
  readonly #greeted = Promise.withResolvers<void>();
  readonly #helloTimer: ReturnType<typeof setTimeout>;
  #isClosing = false;

  constructor(socket: Socket, agent: Agent, ears: Ears) {
    this.#socket = socket;
    this.#agent = agent;
    this.#end = new SocketIoEnd(socket);
    const refuse = () => this.#greeted.reject(new Refusal("no_answer", "The server did not say hello"));
    this.#helloTimer = setTimeout(refuse, HELLO_WITHIN_MS);
    socket.on("connect_error", (fault: Error & { data?: unknown }) => {
      if (!socket.active) this.#greeted.reject(toRefusal(fault.data)); // the server has answered
    });
    socket.on("disconnect", (reason) => {
      if (this.userId === "") return; // it tries on
      socket.io.reconnection(false);
      if (!this.#isClosing) ears.closed(reason);
    });
    socket.onAny((event: string, data: Record<string, unknown>) => {
      if (event === "hello") this.#greet(String(data["userId"]));
      else ears.push(event, data);
    });
  }

  get greeted(): Promise<void> {
    return this.#greeted.promise;
  }

  #greet(userId: string): void {
    clearTimeout(this.#helloTimer);
    this.userId = userId;
    this.#greeted.resolve();
  }

  async call(event: string, data: unknown): Promise<unknown> {
    if (!this.#socket.connected) throw new Refusal("closed", "The socket is closed");
    const answer = await this.#emit(event, data);
    const { error } = Object(answer) as { error?: unknown };
    if (error !== undefined) throw toRefusal(error);
    return answer;
  }

  async #emit(event: string, data: unknown): Promise<unknown> {
    try {
      return await this.#socket.timeout(ANSWER_WITHIN_MS).emitWithAck(event, data);
    } catch (fault) {
      if (!this.#socket.connected) throw new Refusal("closed", "The socket closed before the answer");
      throw new Refusal("no_answer", `${event}: ${fault}`);
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#socket.io.reconnection(false);
    clearTimeout(this.#helloTimer);
    await this.#end.come();
    this.#agent.destroy();
  }
}
