/** What may come out of one uploaded archive, at every depth together. */
import { FileRefused } from "./file_refused.ts";

export interface ArchiveLimits {
  readonly entries: number;
  readonly totalBytes: number;
  /** How many times larger than what went in, once `ratioFreeBytes` have come out. */
  readonly ratio: number;
  readonly ratioFreeBytes: number;
  /** 1: an archive that holds no archives. A tar in a gzip is one. */
  readonly depth: number;
  /** An archive in an archive is held in memory, up to this. */
  readonly nestedBytes: number;
}

/** Texts shrink to a twentieth, empty tables to a hundredth; a bomb to a thousandth. */
const DEFAULTS: ArchiveLimits = {
  entries: 10_000,
  totalBytes: 128 * 1024 * 1024,
  ratio: 100,
  ratioFreeBytes: 4 * 1024 * 1024,
  depth: 3,
  nestedBytes: 16 * 1024 * 1024,
};

export class ArchiveBudget {
  readonly limits: ArchiveLimits;
  readonly #bytesIn: number;
  #bytesOut = 0;
  #entries = 0;

  constructor(bytesIn: number, limits: Partial<ArchiveLimits> = {}) {
    this.#bytesIn = bytesIn;
    this.limits = { ...DEFAULTS, ...limits };
  }

  /** How many files may still come. */
  get entriesLeft(): number {
    return this.limits.entries - this.#entries;
  }

  spendEntry(): void {
    if (++this.#entries > this.limits.entries) {
      throw new FileRefused("archive_too_large", `The archive holds more than ${this.limits.entries} files`);
    }
  }

  spendBytes(count: number): void {
    this.#bytesOut += count;
    const { totalBytes, ratio, ratioFreeBytes } = this.limits;
    if (this.#bytesOut > totalBytes) {
      throw new FileRefused("archive_too_large", `More than ${totalBytes} bytes come out of the archive`);
    }
    if (this.#bytesOut > ratioFreeBytes && this.#bytesOut > ratio * this.#bytesIn) {
      throw new FileRefused(
        "archive_too_large",
        `More than ${ratio} times its size comes out of the archive`,
      );
    }
  }

  requireDepth(depth: number): void {
    if (depth > this.limits.depth) {
      throw new FileRefused(
        "archive_too_deep",
        `Archives lie in archives, more than ${this.limits.depth} deep`,
      );
    }
  }
}
