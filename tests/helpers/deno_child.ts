/**
 * Deno as a child of the test command: what it says is shown at once and kept, and it ends when it is told to,
 * when it has been silent for too long, and when nobody listens any more.
 */
import { write } from "./terminal.ts";

/** A test that hangs must not hang whoever waits; what deno says of it is no progress. Installing may take long. */
const SILENCE_LIMIT_MS = 10 * 60_000;
const HANGS = "has been running for over";
const STOP_LIMIT_MS = 10_000;

/** Runs deno, shows what it says as it says it, and returns its stdout. */
export async function runDeno(
  args: string[],
  cwd: string,
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<{ output: string; exitCode: number }> {
  const colour: Record<string, string> = Deno.stdout.isTerminal() && !Deno.noColor
    ? { FORCE_COLOR: "1" }
    : { NO_COLOR: "1" };
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { ...colour, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  using watch = new Watch(child, signal);
  let output = "";
  const decoder = new TextDecoder();
  await Promise.all([
    show(child.stdout, Deno.stdout, (bytes) => {
      const text = decoder.decode(bytes, { stream: true });
      if (!text.includes(HANGS)) watch.heard();
      output += text;
    }),
    show(child.stderr, Deno.stderr, () => watch.heard()),
  ]);
  return { output, exitCode: (await child.status).code };
}

async function show(
  from: ReadableStream<Uint8Array>,
  to: typeof Deno.stdout,
  heard: (bytes: Uint8Array) => void,
): Promise<void> {
  for await (const bytes of from) {
    heard(bytes);
    await write(to, bytes);
  }
}

/** Ends a child that was asked to stop or fell silent: politely, then for good. */
class Watch implements Disposable {
  readonly #child: Deno.ChildProcess;
  readonly #signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(child: Deno.ChildProcess, signal: AbortSignal) {
    this.#child = child;
    this.#signal = signal;
    signal.addEventListener("abort", this.#end);
    this.heard();
  }

  heard(): void {
    if (this.#signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#end, SILENCE_LIMIT_MS);
  }

  readonly #end = (): void => {
    clearTimeout(this.#timer);
    this.#kill("SIGTERM");
    this.#timer = setTimeout(() => this.#kill("SIGKILL"), STOP_LIMIT_MS);
  };

  #kill(name: Deno.Signal): void {
    try {
      this.#child.kill(name);
    } catch {
      // It has ended.
    }
  }

  /** Also when nobody listens to us any more (deno task test | head). */
  [Symbol.dispose](): void {
    this.#kill("SIGKILL");
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#end);
  }
}
