/** The heartbeat of one session: the server pings, and a client that does not answer in time is gone. */

export interface HeartbeatOptions {
  intervalMs: number;
  timeoutMs: number;
  ping: () => void;
  lost: () => void;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lostAt = Infinity;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** From now on; also when a pong has come. */
  begin(): void {
    const { intervalMs, timeoutMs, ping, lost } = this.#options;
    clearTimeout(this.#timer);
    this.#lostAt = performance.now() + intervalMs + timeoutMs;
    this.#timer = setTimeout(() => {
      this.#timer = setTimeout(lost, this.#lostAt - performance.now());
      ping();
    }, intervalMs);
  }

  /** Its time is over, even if the timer is late. */
  get isLost(): boolean {
    return performance.now() >= this.#lostAt;
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
