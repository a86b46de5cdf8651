/**
 * The echo application that rules are checked against: one process for all of them. SOCKETIO_ECHO_URL names another one
 * that runs already, such as one made of the official server; rules that it does not keep are marked, and left out then.
 */
import { SpeakingChild } from "../../helpers/child_process.ts";
import { spawnTask } from "../../helpers/node_process.ts";
import { steadyPort } from "../../faults/ports.ts";
import { address, ask } from "./polling.ts";

/** As the echo application has them. */
export const PING_INTERVAL_MS = 300;
export const PING_TIMEOUT_MS = 200;
export const CONNECT_TIMEOUT_MS = 1_000;
export const MAX_PAYLOAD = 1_000_000;

/** Names one that runs. */
export const OTHER_SERVER = "SOCKETIO_ECHO_URL";

const START_MS = 30_000;

export interface Echo {
  /** Raw Engine.IO messages come back. */
  engine: string;
  /** Socket.IO. */
  socket: string;
}

/** Named after what the document says; a rule that fails throws. */
export type Rules = Record<string, Rule | StrictRule>;
type Rule = (echo: Echo) => Promise<void>;
/** The document asks for more than the official server gives. */
interface StrictRule {
  strict: Rule;
}

export interface EchoServer extends AsyncDisposable {
  echo: Echo;
  /** What it said. */
  lines: string[];
}

export async function startEchoServer(): Promise<EchoServer> {
  const url = Deno.env.get(OTHER_SERVER);
  if (url !== undefined) {
    return { echo: echoAt(url), lines: [], [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const port = steadyPort();
  const child = new SpeakingChild(await spawnTask("socketio:echo", { PORT: String(port) }));
  const { lines } = child;
  const dispose = () => child[Symbol.asyncDispose]();
  const echo = echoAt(`http://127.0.0.1:${port}`);
  for (const end = performance.now() + START_MS;;) {
    const answer = await ask(address(echo.engine, { transport: "polling" })).catch(() => undefined);
    if (answer?.status === 200) return { echo, lines, [Symbol.asyncDispose]: dispose };
    if (child.hasEnded || performance.now() > end) {
      await dispose();
      throw new Error(`The echo application does not answer:\n${lines.join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const echoAt = (url: string): Echo => ({
  engine: new URL("/engine.io/", url).href,
  socket: new URL("/socket.io/", url).href,
});
