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
  #hasAsked = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  begin(): void {
    const { intervalMs, timeoutMs, ping, lost } = this.#options;
    clearTimeout(this.#timer);
    this.#hasAsked = false;
    this.#lostAt = performance.now() + intervalMs + timeoutMs;
    this.#timer = setTimeout(() => {
      this.#timer = setTimeout(lost, this.#lostAt - performance.now());
      this.#hasAsked = true;
      ping();
    }, intervalMs);
  }

  /** A pong; one that nobody asked for is no sign of life. */
  answered(): void {
    if (this.#hasAsked) this.begin();
  }

  /** Its time is over, even if the timer is late. */
  get isLost(): boolean {
    return performance.now() >= this.#lostAt;
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
