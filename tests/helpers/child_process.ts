/**
 * Child processes of tests, ended by their pid: one whose lines are kept, and a server that answers, stands still, ends,
 * and comes again. What they run is said by whoever starts them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Changes } from "./deadline.ts";

const SPEAK_MS = 60_000;
const ANSWER_MS = 15_000;

/** It may have ended by itself. */
export async function endChild(
  child: Deno.ChildProcess,
  signal: Deno.Signal = "SIGKILL",
): Promise<Deno.CommandStatus> {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return await child.status;
}

/** Its stdout and stderr are piped. */
export class SpeakingChild implements AsyncDisposable {
  /** All so far. */
  readonly lines: string[] = [];
  hasEnded = false;
  readonly #child: Deno.ChildProcess;
  readonly #changes = new Changes();
  readonly #reading: Promise<void>;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    const readers = [child.stdout, child.stderr].map((stream) =>
      readLines(stream, (line) => {
        this.lines.push(line);
        this.#changes.tell();
      })
    );
    this.#reading = Promise.all([child.status, ...readers]).then(() => {
      this.hasEnded = true;
      this.#changes.tell();
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** The first line that fits, said or to be said. */
  async untilSaid(pattern: RegExp): Promise<RegExpExecArray> {
    const find = () => this.lines.map((line) => pattern.exec(line)).find((found) => found !== null);
    const what = () => `a line ${pattern} of:\n${this.lines.join("\n")}`;
    await this.#changes.until(() => this.hasEnded || find() !== undefined, SPEAK_MS, what);
    const found = find();
    if (found === undefined) throw new Error(`It ended with ${(await this.status).code} before ${what()}`);
    return found;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** What it exits with. */
  end(signal?: Deno.Signal): Promise<Deno.CommandStatus> {
    return endChild(this.#child, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await this.#reading;
  }
}

/** One place of a server: its process comes and goes. */
export class ServerProcess {
  readonly #name: string;
  #child: Deno.ChildProcess | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  get pid(): number {
    if (this.#child === undefined) throw new Error(`${this.#name} does not run`);
    return this.#child.pid;
  }

  /** Settles once it answers. */
  async start(program: string, args: string[], answers: () => Promise<boolean>): Promise<void> {
    const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
    this.#child = new Deno.Command(program, { args, ...streams }).spawn();
    for (const end = performance.now() + ANSWER_MS; !await answers().catch(() => false);) {
      if (performance.now() > end) {
        await this.kill();
        throw new Error(`${this.#name} does not answer within ${ANSWER_MS} ms`);
      }
      await sleep(25);
    }
  }

  async kill(signal?: Deno.Signal): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) await endChild(child, signal);
  }

  /** Stands still, with its connections open. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }
}

export async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (
    const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(take);
  }
  if (rest !== "") take(rest);
}
