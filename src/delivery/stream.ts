/**
 * A stream: one room's, or one inbox's, sequence on this node. Whatever the bus loses, doubles or shuffles,
 * pushes leave here in order, without a hole, each once.
 *
 * What comes early is held for `holdMs`; then one read of the primary repairs the hole. The sweep tells of a
 * hole that no later publication shows. A repair may take several reads, never a reset: sockets only move on.
 */
import { describeFault, type Log } from "../log.ts";
import type { Push } from "./push.ts";

/**
 * The repair read: pushes after `since` in order; `through`: all up to here are among them, unless `more`. `known`:
 * where the repair began, up to which readers have everything; `since` is beyond it once one read was not enough.
 */
export type ReadSince = (
  since: number,
  known: number,
) => Promise<{ through: number; pushes: Push[]; more: boolean }>;

export interface StreamOptions {
  name: string;
  holdMs: number;
  read: ReadSince;
  /** Called for each push, in order. Must not throw. */
  deliver: (push: Push) => void;
  onRepair: () => void;
  log: Log;
}

const EARLY_MAX = 1_000;
const RETRY_MS = 500;

export class Stream {
  readonly #options: StreamOptions;
  /** Undefined until a first position is known; until then everything is early. */
  #through: number | undefined;
  readonly #early = new Map<number, Push>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #repairing: Promise<void> | undefined;
  #closed = false;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  get through(): number | undefined {
    return this.#through;
  }

  /** The position of whoever came first; nothing once the stream runs. */
  start(seq: number): void {
    if (this.#through !== undefined) return;
    this.#through = seq;
    for (const [after, push] of this.#early) if (push.seq <= seq) this.#early.delete(after);
    this.#passEarly();
    this.#watch();
  }

  /** What is live comes a step at a time: what claims more is not ours, and passing it would hide what follows. */
  offer(push: Push): void {
    if (this.#closed || push.seq !== push.after + 1) return;
    if (this.#through === undefined || push.after > this.#through) {
      // dropped beyond the bound: the repair reads it
      if (this.#early.size < EARLY_MAX) this.#early.set(push.after, push);
      this.#watch();
      return;
    }
    if (push.seq <= this.#through) return;
    this.#pass(push);
    this.#passEarly();
  }

  /** Postgres is at least here: told by the sweep. */
  behind(lastSeq: number): void {
    if (this.#through !== undefined && lastSeq > this.#through) this.#repair();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#early.clear();
    await this.#repairing;
  }

  #pass(push: Push): void {
    this.#through = push.seq;
    this.#options.deliver(push);
  }

  #passEarly(): void {
    while (this.#through !== undefined) {
      const next = this.#early.get(this.#through);
      if (next === undefined) break;
      this.#early.delete(this.#through);
      if (next.seq > this.#through) this.#pass(next);
    }
    if (this.#early.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  /** A hole may close by itself: wait a little before reading. */
  #watch(): void {
    if (this.#closed || this.#through === undefined || this.#early.size === 0 || this.#timer !== undefined) {
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#repair();
    }, this.#options.holdMs);
  }

  #repair(): void {
    if (this.#repairing !== undefined || this.#closed) return;
    this.#options.onRepair();
    this.#repairing = this.#readUntilWhole().catch((fault) => {
      this.#options.log.warn("stream.repair_failed", { stream: this.#options.name, ...describeFault(fault) });
      if (this.#closed) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#repair();
      }, RETRY_MS);
    }).finally(() => {
      this.#repairing = undefined;
    });
  }

  async #readUntilWhole(): Promise<void> {
    const known = this.#position();
    for (let more = true; more && !this.#closed;) {
      const heldBefore = [...this.#early.keys()];
      const found = await this.#options.read(this.#position(), known);
      if (this.#closed) return;
      more = found.more;
      let passed: number | undefined;
      for (const push of found.pushes) {
        // one inbox place may hold two rows: the second is no repeat of the first
        if (push.seq <= this.#position() && (push.after !== push.seq || push.seq !== passed)) continue;
        this.#pass(push);
        passed = push.seq;
      }
      if (more) continue;
      this.#through = Math.max(this.#position(), found.through);
      // published means committed: what Postgres does not have after all was never a publication of ours
      for (const after of heldBefore) if (after > this.#position()) this.#early.delete(after);
      for (const [after, push] of [...this.#early].sort(([a], [b]) => a - b)) {
        if (after > this.#position()) break;
        this.#early.delete(after);
        if (push.seq > this.#position()) this.#pass(push);
      }
    }
    this.#watch();
  }

  #position(): number {
    return this.#through ?? 0;
  }
}
