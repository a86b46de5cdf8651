/**
 * The virus scanner, over clamav-rest's contract (clamav_rest.ts). Fails closed: clean is only what the scanner said to
 * be clean, of all bytes, and only while it finds a test virus that we show it now and then. A bounded number is under
 * way at once, failures are tried again, and after several in a row nobody is sent there for a while.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { describeFault, type Log } from "../log.ts";
import { askToScan, ScanFailed, type Verdict } from "./clamav_rest.ts";
import { CircuitBreaker } from "./circuit_breaker.ts";
import { TEST_VIRUS } from "./test_virus.ts";
import { Turns } from "./turns.ts";

export type { Verdict } from "./clamav_rest.ts";

/** The same scan may succeed later: the file stays pending. */
export class ScannerUnavailable extends Error {
  override readonly name = "ScannerUnavailable";
  constructor(message: string, readonly retryAfterMs: number, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The scanner works, and will never take this file: it is too large for it, or it cannot read it. */
export class ScanRefused extends Error {
  override readonly name = "ScanRefused";
}

export interface AntivirusOptions {
  /** Of clamav-rest, without `/v2/scan`. */
  readonly url: string;
  /** Of one attempt, the file's transfer included. */
  readonly timeoutMs: number;
  /** Scans at once; more wait, up to `queueMax`. */
  readonly concurrency: number;
  readonly queueMax?: number;
  readonly attempts?: number;
  readonly backoffMs?: number;
  /** Failures in a row that open the circuit, and how long it stays open: at first, and at most. */
  readonly openAfter?: number;
  readonly openMs?: number;
  readonly openMsMax?: number;
  /** How old the last find of the test virus may be for a clean verdict to count. */
  readonly canaryMs?: number;
}

const DEFAULTS = {
  queueMax: 1_000,
  attempts: 3,
  backoffMs: 250,
  openAfter: 5,
  openMs: 5_000,
  openMsMax: 120_000,
  canaryMs: 600_000,
};

/** Who asks: `open` gives the file's bytes anew for every attempt. */
interface Wish {
  open: () => Promise<ReadableStream<Uint8Array>>;
  bytes: number;
  signal: AbortSignal;
}

export class Antivirus {
  readonly #options: Required<AntivirusOptions>;
  readonly #log: Log;
  readonly #turns: Turns;
  readonly #circuit: CircuitBreaker;
  #trustedUntil = 0;
  #canary: Promise<void> | undefined;

  constructor(options: AntivirusOptions, log: Log) {
    this.#options = { ...DEFAULTS, ...options };
    this.#log = log;
    this.#turns = new Turns(options.concurrency);
    this.#circuit = new CircuitBreaker(this.#options);
  }

  /** For metrics: while the circuit is open scans are refused at once. */
  get state(): { circuit: "closed" | "open" | "half_open"; running: number; queued: number } {
    return { circuit: this.#circuit.state, running: this.#turns.running, queued: this.#turns.waiting };
  }

  /** Throws ScannerUnavailable or ScanRefused, what `open` throws, and the signal's reason if it is aborted. */
  async scan(
    open: () => Promise<ReadableStream<Uint8Array>>,
    ask: { bytes: number; signal: AbortSignal },
  ): Promise<Verdict> {
    const wish = { open, ...ask };
    if (this.#turns.waiting >= this.#options.queueMax) {
      throw new ScannerUnavailable("Too many files wait for the scanner", this.#options.openMs);
    }
    using _turn = await this.#turns.take(wish.signal);
    let failure: unknown;
    for (let attempt = 0; attempt < this.#options.attempts; attempt++) {
      if (attempt > 0) {
        await sleep(this.#options.backoffMs * 2 ** (attempt - 1) * (0.5 + Math.random()), undefined, wish)
          .catch(() => wish.signal.throwIfAborted());
      }
      this.#requireCircuit(failure);
      try {
        return await this.#attempt(wish);
      } catch (error) {
        wish.signal.throwIfAborted();
        if (!(error instanceof ScanFailed)) throw error;
        failure = error;
        if (error.isAboutTheFile && await this.#works(wish.signal)) throw new ScanRefused(error.message);
        this.#failed(error);
      }
    }
    throw this.#unavailable(failure);
  }

  /** For health: the scanner is there and finds the test virus. Throws ScannerUnavailable. */
  async probe(signal: AbortSignal): Promise<void> {
    try {
      await this.#findTestVirus(signal);
    } catch (error) {
      signal.throwIfAborted();
      throw this.#unavailable(error);
    }
  }

  async #attempt(wish: Wish): Promise<Verdict> {
    if (this.#trustedUntil < Date.now()) await this.#checkTrust(wish.signal);
    const verdict = await askToScan(this.#options, wish);
    this.#circuit.succeeded();
    return verdict;
  }

  /** One test virus for all that wait for it. */
  async #checkTrust(signal: AbortSignal): Promise<void> {
    // not with this signal: who leaves must not end it for the others
    this.#canary ??= this.#findTestVirus(new AbortController().signal).finally(() =>
      this.#canary = undefined
    );
    this.#canary.catch(() => {}); // all of those who wait may have left
    const { promise, reject } = Promise.withResolvers<never>();
    const leave = (): void => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    try {
      await Promise.race([this.#canary, promise]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  async #findTestVirus(signal: AbortSignal): Promise<void> {
    const virus = TEST_VIRUS();
    const open = () => Promise.resolve(ReadableStream.from([virus]));
    const verdict = await askToScan(this.#options, { open, bytes: virus.length, signal });
    if (verdict.is !== "infected") throw new ScanFailed("The scanner does not find a test virus", false);
    this.#trustedUntil = Date.now() + this.#options.canaryMs;
    this.#circuit.succeeded();
  }

  /** Whether it was the file's fault: clamav-rest says 413 of any file when the scanner behind it is gone. */
  async #works(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#findTestVirus(signal);
      return true;
    } catch {
      return false;
    }
  }

  #requireCircuit(failure: unknown): void {
    if (!this.#circuit.mayTry()) throw this.#unavailable(failure);
    if (this.#circuit.state === "half_open") this.#trustedUntil = 0;
  }

  #failed(error: ScanFailed): void {
    if (this.#circuit.failed()) this.#log.warn("scanner.circuit_opened", describeFault(error));
    else this.#log.debug("scanner.failed", { text: error.message });
  }

  #unavailable(cause: unknown): ScannerUnavailable {
    const text = cause instanceof Error ? cause.message : "the circuit is open";
    return new ScannerUnavailable(`The scanner cannot be asked: ${text}`, this.#circuit.retryAfterMs, {
      cause,
    });
  }
}
