/**
 * A part of the bench in a process of its own, so that none takes time from another's event loop. It gets what it is
 * asked as the first line of stdin, hears words on the lines after it, and answers in lines of JSON.
 */
import { endChild, readLines } from "../../tests/helpers/child_process.ts";

export class Child<Answer> implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reading: Promise<void>;
  readonly #answers: Answer[] = [];
  #wake: (() => void) | undefined;
  #isOver = false;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#writer = process.stdin.getWriter();
    this.#reading = readLines(process.stdout, (line) => {
      this.#answers.push(JSON.parse(line));
      this.#wake?.();
    }).finally(() => {
      this.#isOver = true;
      this.#wake?.();
    });
  }

  /** `yields`: at the lowest priority, as far as that can be had. */
  static async start<Answer>(module: string, ask: unknown, yields = false): Promise<Child<Answer>> {
    const words = ["run", "--quiet", "-A", new URL(module, import.meta.url).href];
    const child = new Child<Answer>(
      new Deno.Command(yields ? "nice" : Deno.execPath(), {
        args: yields ? ["-n", "19", Deno.execPath(), ...words] : words,
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn(),
    );
    await child.say(JSON.stringify(ask));
    return child;
  }

  get pid(): number {
    return this.#process.pid;
  }

  async say(line: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${line}\n`));
  }

  async next(): Promise<Answer> {
    while (this.#answers.length === 0) {
      if (this.#isOver) throw new Error("A part of the bench has ended before its time");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#answers.shift()!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endChild(this.#process);
    await this.#reading;
    await this.#writer.abort().catch(() => {});
  }
}

/** The child's side: the lines it is told, the first of them its ask. */
export class Told {
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;

  constructor() {
    void readLines(Deno.stdin.readable, (line) => {
      this.#lines.push(line);
      this.#wake?.();
    }).finally(() => Deno.exit(0)); // whoever asked has gone
  }

  async next(): Promise<string> {
    while (this.#lines.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    return this.#lines.shift()!;
  }

  answer(value: unknown): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
    for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
  }
}

/** Milliseconds on the clock that all processes share. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
