/** What the node costs, seen from outside and by the clock: its CPU seconds at any time, its memory, its log. */
import { MIB, type Target } from "../../tests/hostile/target.ts";
import { now } from "./child.ts";
import type { Sample } from "./innocents.ts";

const LOOK_MS = 50;

export interface Span {
  from: number;
  until: number;
}

export interface Use {
  cpuS: number;
  /** Seconds in which its event loop was ready to run and had no core. */
  waitedS: number;
}

export class NodeWatch implements Disposable {
  readonly #target: Target;
  readonly #looks: (Use & { at: number })[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #baseBytes = 0;

  constructor(target: Target) {
    this.#target = target;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  #look(): void {
    const [, waitedNs] = Deno.readTextFileSync(`/proc/${this.#target.node.pid}/schedstat`).split(" ");
    this.#looks.push({ at: now(), cpuS: this.#target.cpuSeconds(), waitedS: Number(waitedNs) / 1e9 });
  }

  use({ from, until }: Span): Use {
    const at = (when: number) => this.#looks.findLast((look) => look.at <= when) ?? this.#looks[0]!;
    const [first, last] = [at(from), at(until)];
    return { cpuS: last.cpuS - first.cpuS, waitedS: last.waitedS - first.waitedS };
  }

  /** The peak is that of what follows. */
  beginPeak(): void {
    this.#target.forgetPeak();
    this.#baseBytes = this.#target.rss().now;
  }

  peak(): { baseMib: number; aboveMib: number } {
    const { peak } = this.#target.rss();
    return { baseMib: this.#baseBytes / MIB, aboveMib: (peak - this.#baseBytes) / MIB };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** What the node's log says of closings and cuts, since `from` lines. */
export function closingsSince(lines: readonly string[], from: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of lines.slice(from)) {
    if (!/"event":"(socket\.closing|warden\.cut)"/.test(line)) continue;
    const { event, code, why, count } = JSON.parse(line);
    const key = event === "warden.cut" ? `cut: ${why}` : String(code);
    counts[key] = (counts[key] ?? 0) + (count ?? 1);
  }
  return counts;
}

export function within(samples: readonly Sample[], { from, until }: Span): number[] {
  return samples.filter(([at]) => at >= from && at <= until).map(([, ms]) => ms);
}
