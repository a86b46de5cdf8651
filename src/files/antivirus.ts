/**
 * The virus scanner, over clamav-rest's contract. Fails closed: clean is only what the scanner said to be clean, in
 * words we know, of all bytes, and only while it finds a test virus that we show it now and then.
 */
import type { Log } from "../log.ts";

export type Verdict = { is: "clean" } | { is: "infected"; signature: string };

/** The same scan may succeed later: the file stays pending. */
export class ScannerUnavailable extends Error {
  override readonly name = "ScannerUnavailable";
  constructor(
    message: string,
    readonly retryAfterMs: number,
    options?: ErrorOptions,
  ) {
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
  /** Failures in a row that open the circuit, and how long it stays open at first. */
  readonly openAfter?: number;
  readonly openMs?: number;
  readonly openMsMax?: number;
  /** How old the last find of the test virus may be for a clean verdict to count. */
  readonly canaryMs?: number;
}

export class Antivirus {
  constructor(readonly options: AntivirusOptions, _log: Log) {}

  /** For metrics: "open" means that scans are refused at once. */
  get state(): {
    circuit: "closed" | "open" | "half_open";
    running: number;
    queued: number;
  } {
    return { circuit: "closed", running: 0, queued: 0 };
  }

  /** Opens the file anew for every attempt. Throws ScannerUnavailable or ScanRefused; the signal's reason if aborted. */
  scan(
    _open: () => Promise<ReadableStream<Uint8Array>>,
    _ask: { bytes: number; signal: AbortSignal },
  ): Promise<Verdict> {
    return Promise.reject(new ScannerUnavailable("not built yet", 1_000));
  }

  /** For health: the scanner is there and finds the test virus. Throws ScannerUnavailable. */
  probe(_signal: AbortSignal): Promise<void> {
    return Promise.reject(new ScannerUnavailable("not built yet", 1_000));
  }
}
