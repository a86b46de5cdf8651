/** How far a replay is: one line that is redrawn on a terminal, elsewhere a new line now and then. */
import type { Progress } from "./replay.ts";

const REDRAW_MS = 100;
const LINE_MS = 10_000;
const BAR_WIDTH = 30;

export class ProgressLine implements Disposable {
  readonly #write: (text: string) => void;
  readonly #isTerminal: boolean;
  #shownAt: number;
  #drawn = false;

  constructor(write: (text: string) => void, isTerminal: boolean) {
    this.#write = write;
    this.#isTerminal = isTerminal;
    this.#shownAt = isTerminal ? 0 : performance.now();
  }

  show({ name, stepsDone, steps }: Progress): void {
    const now = performance.now();
    if (now - this.#shownAt < (this.#isTerminal ? REDRAW_MS : LINE_MS)) return;
    this.#shownAt = now;
    const share = steps === 0 ? 1 : stepsDone / steps;
    const text = `${String(Math.floor(100 * share)).padStart(3)} %  ${stepsDone} of ${steps}  ${name}`;
    if (!this.#isTerminal) return this.#write(`${text}\n`);
    const done = Math.round(BAR_WIDTH * share);
    this.#write(`\r\x1b[K${"#".repeat(done)}${"-".repeat(BAR_WIDTH - done)} ${text}`);
    this.#drawn = true;
  }

  /** Leaves a clean line. */
  [Symbol.dispose](): void {
    if (this.#drawn) this.#write("\r\x1b[K");
    this.#drawn = false;
  }
}
