/**
 * Scanning: takes files that wait, from this node or any other, and writes what the scanner says of each. A scanner that
 * is away leaves them waiting; a node that goes leaves them to the others. Where nothing is scanned there is none of this.
 */
import type { Antivirus } from "../files/antivirus.ts";
import { ScannerUnavailable, ScanRefused } from "../files/antivirus.ts";
import { guardArchive } from "../files/archive_guard.ts";
import type { FileKind } from "../files/file_kind.ts";
import { FileRefused } from "../files/file_refused.ts";
import { FileMissing, type FileStore, StoreUnavailable } from "../files/file_store.ts";
import { EphemeralPush } from "../delivery/ephemeral.ts";
import type { Hub } from "../delivery/hub.ts";
import { inboxTopic } from "../delivery/pushes.ts";
import { describeFault, type Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { toJson } from "../protocol/json_text.ts";
import { changesOf } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { nextPendingMs, type PendingFile, putOff, takePending, writeVerdict } from "../store/file_chores.ts";

export interface ScanningUses {
  db: Database;
  hub: Hub;
  files: FileStore;
  antivirus: Antivirus;
  log: Log;
  metrics: Metrics;
  concurrency: number;
  /** There are bytes to remove. */
  onUnsafe: () => void;
}

type Finding = { state: "clean" } | { state: "infected" | "failed"; finding: string };

/** Of one file, all tries included; then another node may have it. */
const SCAN_MS = 120_000;
const LEASE_MS = 150_000;
/** Other nodes' files, and those that were put off, are looked for so often. */
const POLL_MS = 3_000;
/** Faults that are neither the scanner's nor the store's: after so many tries it is the file. */
const TRIES_MAX = 20;

export class Scanning implements AsyncDisposable {
  readonly #uses: ScanningUses;
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void> | undefined;
  #again = false;

  constructor(uses: ScanningUses) {
    this.#uses = uses;
    this.#timer = setTimeout(() => this.wake(), 0);
  }

  /** Something may wait. */
  wake(): void {
    if (this.#stop.signal.aborted) return;
    if (this.#looking !== undefined) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
      if (this.#again) {
        this.#again = false;
        this.wake();
      }
    });
  }

  async #look(): Promise<void> {
    const { db, log, concurrency } = this.#uses;
    let waitMs = POLL_MS;
    try {
      const free = concurrency - this.#running.size;
      const found = free > 0 ? await takePending(db, free, LEASE_MS) : [];
      for (const file of found) this.#start(file);
      // a full house is looked after when the next one is done
      if (found.length < free) waitMs = Math.min(POLL_MS, Math.max(50, await nextPendingMs(db) ?? POLL_MS));
    } catch (fault) {
      log.warn("scan.not_taken", describeFault(fault));
    }
    if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => this.wake(), waitMs);
  }

  #start(file: PendingFile): void {
    const running = this.#scan(file).finally(() => {
      this.#running.delete(running);
      this.wake();
    });
    this.#running.add(running);
  }

  /** Never throws. */
  async #scan(file: PendingFile): Promise<void> {
    const { db, log } = this.#uses;
    const timeout = AbortSignal.timeout(SCAN_MS);
    try {
      const found = await this.#lookInto(file, AbortSignal.any([timeout, this.#stop.signal]));
      await this.#write(file, found);
    } catch (fault) {
      const delayMs = this.#stop.signal.aborted ? 0 : delayAfter(fault, file);
      log[fault instanceof ScannerUnavailable || this.#stop.signal.aborted ? "info" : "warn"](
        "scan.put_off",
        {
          fileId: file.id,
          delayMs,
          ...describeFault(fault),
        },
      );
      await putOff(db, [file.id], delayMs).catch((again) =>
        log.warn("scan.not_put_off", describeFault(again))
      );
    }
  }

  async #lookInto(file: PendingFile, signal: AbortSignal): Promise<Finding> {
    const { files, antivirus } = this.#uses;
    const facts = JSON.parse(file.facts) as FileKind;
    try {
      await guardArchive(
        (range, own) => files.get(file.key, range, own),
        { bytes: file.bytes, kind: facts },
        { signal },
      );
      const verdict = await antivirus.scan(() => files.get(file.key, undefined, signal), {
        bytes: file.bytes,
        signal,
      });
      return verdict.is === "clean" ? { state: "clean" } : { state: "infected", finding: verdict.signature };
    } catch (fault) {
      if (fault instanceof FileRefused || fault instanceof ScanRefused) {
        return { state: "failed", finding: fault.message };
      }
      if (fault instanceof FileMissing) return { state: "failed", finding: "The file was lost" };
      const isOthers = fault instanceof ScannerUnavailable || fault instanceof StoreUnavailable ||
        signal.aborted;
      if (!isOthers && file.attempts >= TRIES_MAX) {
        return { state: "failed", finding: "The file could not be scanned" };
      }
      throw fault;
    }
  }

  async #write(file: PendingFile, found: Finding): Promise<void> {
    const { db, hub, log, metrics, onUnsafe } = this.#uses;
    const answer = await writeVerdict(db, { id: file.id, ...found });
    hub.publish(changesOf(answer));
    const { attachment, finding = null, uploaderId } = answer;
    if (attachment === undefined || uploaderId === undefined) return;
    metrics.verdicts.inc({ state: found.state });
    const payload = toJson({ attachment, finding });
    hub.pushEphemeral(inboxTopic(uploaderId), new EphemeralPush("file_scanned", payload));
    hub.signal(inboxTopic(uploaderId), { kind: "file", payload });
    if (found.state === "clean") return;
    log.warn(`file.${found.state}`, { fileId: file.id, userId: uploaderId, finding: found.finding });
    onUnsafe();
  }

  /** What is under way is given back at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new ScannerUnavailable("This node goes away", 0));
    clearTimeout(this.#timer);
    await this.#looking;
    await Promise.all(this.#running);
    clearTimeout(this.#timer);
  }
}

function delayAfter(fault: unknown, { attempts }: PendingFile): number {
  if (fault instanceof ScannerUnavailable) {
    return Math.max(250, fault.retryAfterMs) * (0.75 + Math.random() / 2);
  }
  return Math.min(1_000 * 2 ** Math.min(attempts, 6), 30_000);
}
