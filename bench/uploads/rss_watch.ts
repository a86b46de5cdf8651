/** The memory of a process over time, as Linux counts it. */

const EVERY_MS = 50;
const MIB = 1024 * 1024;

export interface RssFigures {
  baseMib: number;
  peakMib: number;
  endMib: number;
}

export class RssWatch implements Disposable {
  readonly #pid: number;
  readonly #base: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #peak = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#base = this.#now();
    this.#timer = setInterval(() => this.#peak = Math.max(this.#peak, this.#now()), EVERY_MS);
  }

  #now(): number {
    const status = Deno.readTextFileSync(`/proc/${this.#pid}/status`);
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  }

  figures(): RssFigures {
    return { baseMib: this.#base / MIB, peakMib: this.#peak / MIB, endMib: this.#now() / MIB };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
