/** Which connections have asked for nothing for a while: the longest idle stand first, so one timer does for all. */
import type { Connection } from "../delivery/connection.ts";

export class IdleWatch implements Disposable {
  readonly #idleMs: number;
  readonly #onIdle: (connection: Connection) => void;
  /** Active ones by when they last asked, oldest first. */
  readonly #askedAt = new Map<Connection, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(uses: { idleMs: number; onIdle: (connection: Connection) => void }) {
    this.#idleMs = uses.idleMs;
    this.#onIdle = uses.onIdle;
  }

  /** True if it had been idle, or is new. */
  asked(connection: Connection): boolean {
    const wasActive = this.#askedAt.delete(connection);
    this.#askedAt.set(connection, performance.now());
    this.#timer ??= setTimeout(() => this.#look(), this.#idleMs);
    return !wasActive;
  }

  isActive(connection: Connection): boolean {
    return this.#askedAt.has(connection);
  }

  forget(connection: Connection): void {
    this.#askedAt.delete(connection);
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [connection, askedAt] of this.#askedAt) {
      const leftMs = askedAt + this.#idleMs - now;
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.#look(), leftMs);
        return;
      }
      this.#askedAt.delete(connection);
      this.#onIdle(connection);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#askedAt.clear();
  }
}
