/**
 * The command lane of one connection: what a client asks without waiting happens in the order it was asked.
 * Commands marked `concurrent` may run beside each other, but not before an earlier one that is not has ended:
 * `join_room` then `send_message` sends into the room joined.
 */
const RUNNING_MAX = 64;

interface Task {
  concurrent: boolean;
  run: () => Promise<void>;
}

export class CommandLane {
  readonly #waiting: Task[] = [];
  #running = 0;
  #exclusive = false;

  /** Commands that wait or run. */
  get depth(): number {
    return this.#waiting.length + this.#running;
  }

  /** `run` must not reject. */
  add(concurrent: boolean, run: () => Promise<void>): void {
    this.#waiting.push({ concurrent, run });
    this.#start();
  }

  /** Forgets what has not begun. */
  clear(): void {
    this.#waiting.length = 0;
  }

  #start(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#exclusive || this.#running >= RUNNING_MAX || (!next.concurrent && this.#running > 0)) return;
      this.#waiting.shift();
      this.#running++;
      this.#exclusive = !next.concurrent;
      void next.run().finally(() => {
        this.#running--;
        this.#exclusive = false;
        this.#start();
      });
    }
  }
}
