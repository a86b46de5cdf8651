/** The results for people: one row an attack, and what they were measured with. */
import { latenciesOf } from "../../tests/hostile/target.ts";
import type { AttackResult } from "./attacks.ts";
import type { ClosedLoopResult } from "./closed_loop.ts";
import type { InnocentsResult } from "./innocents.ts";
import { type Span, type Use, within } from "./watch.ts";

export interface Row {
  name: string;
  attack: Span;
  /** Half a minute just before. */
  before: Span;
  result: AttackResult;
  baseMib: number;
  aboveMib: number;
  use: Use;
  useBefore: Use;
  attackerCpuS: number;
  closings: Record<string, number>;
}

export interface Machine {
  cores: number;
  memoryGib: number;
  deno: string;
  postgres: string;
  load: string;
}

export function reportText(
  found: {
    machine: Machine;
    rows: readonly Row[];
    innocents: InnocentsResult;
    pace: string;
    loop: ClosedLoopResult;
    loopCpuS: number;
  },
): string {
  const { machine, rows, innocents, loop } = found;
  return `# Hostile clients

Made by \`deno task bench:hostile\`. ${machine.cores} cores and ${machine.memoryGib} GiB, shared by the node (\`deno task start\`,
limits of production), its Postgres (${machine.postgres}), the attacker, the innocent clients and the measuring; ${machine.deno}.
The attacker is a process of its own at the lowest priority (\`nice\`): in truth it has a machine of its own, and here its
garbage collector alone, at the node's priority, kept Postgres waiting for a core for 33 ms. ${machine.load}

Innocents: ${found.pace}. In all ${innocents.acks.length} sends were acknowledged, ${innocents.faults.length} were refused or not answered,
${innocents.closed} innocent sockets were closed, ${innocents.missed} messages were missed or doubled.

${verdict(rows, innocents, loop)}

${rowsText(rows, innocents)}
## 1,000 sockets, each with one send outstanding

${
    table([
      "sends/s",
      "p50",
      "p99",
      "worst",
      "unserved",
      "refused",
      "fewest",
      "most",
      "CPU s",
      "load's own lag",
    ], [[
      Math.round(loop.sends / LOOP_WINDOW_S),
      ...[loop.p50, loop.p99, loop.worst, loop.unserved, loop.refused, loop.fewest, loop.most],
      ...[found.loopCpuS.toFixed(1), loop.ownLagMs],
    ]])
  }

Milliseconds; rooms of ten, ${LOOP_WINDOW_S} s. "Fewest" and "most": answers of one socket.
`;
}

export function rowsText(rows: readonly Row[], innocents: InnocentsResult): string {
  return `## What the innocents notice

Milliseconds from a send to its acknowledgement: during the attack, and in the half minute just before it. Whoever is
cut or closed comes again at once for as long as the attack lasts.
"Own": how late (p99) the innocents' own process was then; what it measures is too long by about as much. "Attacker" is how many cores it used.

${
    table(
      [
        "attack",
        "seconds",
        "p50",
        "p50 before",
        "p99",
        "p99 before",
        "times",
        "own",
        "own before",
        "attacker",
      ],
      rows.map((row) => {
        const during = latenciesOf(within(innocents.acks, row.attack));
        const before = latenciesOf(within(innocents.acks, row.before));
        const own = (span: Span) => latenciesOf(within(innocents.lags, span)).p99;
        const seconds = (row.attack.until - row.attack.from) / 1_000;
        return [
          row.name,
          seconds.toFixed(1),
          ...[during.p50, before.p50, during.p99, before.p99, (during.p99 / before.p99).toFixed(1)],
          ...[own(row.attack), own(row.before), (row.attackerCpuS / seconds).toFixed(2)],
        ];
      }),
    )
  }

## What becomes of the culprits, and what they cost

Memory is the node's RSS in MiB: before, and the highest above that. "CPU s" are the node's in
the attack; "cores" how many it used before and during; "waited" for which part of the time its event loop was ready
and had no core, before and during: the others that share the machine. "Came" counts connections that ended; "told" is the median and the longest time from a connection's
first hostile act until it was told its close code or cut, in ms; "gone" until it had ended.

${
    table(
      ["attack", "MiB sent", "base", "above", "CPU s", "cores", "waited", "came", "told", "gone", "ended by"],
      rows.map((row) => {
        const { ends, left, refused, sentBytes } = row.result;
        const told = latenciesOf(ends.map(({ toldMs }) => toldMs));
        const gone = latenciesOf(ends.map(({ goneMs }) => goneMs));
        return [
          row.name,
          Math.round(sentBytes / 1024 / 1024),
          ...[
            Math.round(row.baseMib),
            Math.round(row.aboveMib),
            row.use.cpuS.toFixed(1),
            ...(["cpuS", "waitedS"] as const).map((name) => {
              const share = (use: Use, { from, until }: Span) =>
                (use[name] * 1_000 / (until - from)).toFixed(2);
              return `${share(row.useBefore, row.before)}, ${share(row.use, row.attack)}`;
            }),
          ],
          ...[ends.length, `${told.p50}, ${told.max}`, `${gone.p50}, ${gone.max}`],
          [
            ...counted(ends.map(({ how }) => how)),
            ...Object.entries(refused).map(([status, count]) => `${count} refused ${status}`),
            ...(left === 0 ? [] : [`${left} left at the end`]),
            `log: ${Object.entries(row.closings).map(([key, count]) => `${count} ${key}`).join(", ") || "–"}`,
          ].join("; "),
        ];
      }),
    )
  }
`;
}

/** Against what issue 3 asks. */
function verdict(rows: readonly Row[], innocents: InnocentsResult, loop: ClosedLoopResult): string {
  const isUnderTwice = (row: Row): boolean =>
    latenciesOf(within(innocents.acks, row.attack)).p99 <
      2 * latenciesOf(within(innocents.acks, row.before)).p99;
  const told = (is: boolean): string => is ? "met" : "not met";
  return `Asked: an innocent's p99 under twice that before (met in ${
    rows.filter(isUnderTwice).length
  } of ${rows.length} attacks); the node's memory
at most 500 MiB above its base (${told(rows.every(({ aboveMib }) => aboveMib < 500))}); no innocent closed (${
    told(innocents.closed === 0)
  }); in the closed loop p99 under
three times p50 (${told(loop.p99 < 3 * loop.p50)}), the worst under 1 s (${
    told(loop.worst < 1_000)
  }), nobody unserved (${told(loop.unserved === 0)}).`;
}

export const LOOP_WINDOW_S = 10;

function counted(values: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => `${count} ${value}`);
}

export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")} |`;
  const rule = widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(cells[0]!), line(rule), ...cells.slice(1).map(line)].join("\n");
}
