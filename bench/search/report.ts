/** The figures as a page of Markdown. */
import type { Percentiles } from "../replay/percentiles.ts";
import type { Appends } from "./appends.ts";
import type { Measured } from "./measure.ts";

export interface Report {
  messages: number;
  callers: { caller: string; rows: Measured[] }[];
  sizes: { name: string; bytes: number }[];
  appends: Appends[];
  machine: string;
}

const grouped = (count: number): string => count.toLocaleString("en-US");
const times = ({ count, p50, p95, max }: Percentiles): string[] =>
  count === 0 ? ["–", "–", "–"] : [p50, p95, max].map(String);

export function describe(report: Report): string {
  const tables = report.callers.map(({ caller, rows }) =>
    [
      `## ${caller[0]?.toUpperCase()}${caller.slice(1)}`,
      "",
      ...table(
        ["milliseconds", "found", "p50", "p95", "max", "2nd page p50", "p95", "max", "slowest"],
        rows.map(({ name, first, second, found, slowest }) => [
          name,
          `${found} of ${first.count}`,
          ...times(first),
          ...times(second),
          `\`${slowest}\``,
        ]),
      ),
      "",
    ].join("\n")
  );
  const all = report.callers.flatMap(({ rows }) => rows.flatMap(({ first, second }) => [first, second]));
  return [
    "# Search: figures",
    "",
    `${
      grouped(report.messages)
    } messages made from recorded IRC days and some Chinese, Japanese and Korean, in 200 rooms, ` +
    `one of them with a third of all. From a command's input to its answer, highlights included, without a door; ` +
    `one at a time, the faster of two, pages of 50. ${report.machine}. \`deno task bench:search\` makes this page.`,
    "",
    `The highest p95 of all is ${Math.max(...all.map(({ p95 }) => p95))} ms, the slowest of all took ` +
    `${Math.max(...all.map(({ max }) => max))} ms.`,
    "",
    ...tables,
    "## What it costs",
    "",
    ...table(
      ["messages a second", "with search", "without", "ratio"],
      report.appends.map(({ rows, withSearch, without }) => [
        `${rows} a call, best of six rounds in turns`,
        grouped(withSearch),
        grouped(without),
        (withSearch / without).toFixed(2),
      ]),
    ),
    "",
    ...table(["size", "MiB"], report.sizes.map(({ name, bytes }) => [name, (bytes / 2 ** 20).toFixed(1)])),
    "",
  ].join("\n");
}

function table(head: string[], rows: string[][]): string[] {
  const line = (cells: string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
