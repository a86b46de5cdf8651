/** The report for people: two tables, what was tried again, and the first faults of each kind. */
import { faultKinds } from "./faults.ts";
import type { Percentiles } from "./percentiles.ts";
import type { Figures, ReplayReport } from "./report.ts";

export function reportText(report: ReplayReport): string {
  const rows: [string, Figures][] = report.rooms.map((room) => [room.name, room]);
  if (rows.length > 1) rows.push(["total", report.total]);
  const pace = report.speed === undefined ? "flat out" : `${report.speed} times as fast as recorded`;
  return [
    `${report.run}: ${report.serverUrl}, ${report.door} sockets, ${pace}`,
    "",
    table(
      [
        "room",
        "nicks",
        "messages",
        "replies",
        "actions",
        "joins",
        "leaves",
        "skipped",
        "heard",
        "searches",
        "faults",
      ],
      rows.map(([name, { script, acknowledged, deliveries, searches, faultCount }]) => [
        name,
        ...[script.nicks, acknowledged, script.replies, script.actions, script.joins, script.leaves],
        script.skippedJoins + script.skippedLeaves + script.skippedEmpty,
        ...[deliveries, searches, faultCount],
      ]),
    ),
    "",
    table(
      [
        "room",
        "seconds",
        "sent/s",
        "heard/s",
        "ack ms p50",
        "p95",
        "p99",
        "max",
        "heard ms p50",
        "p95",
        "p99",
        "max",
      ],
      rows.map(([name, figures]) => [
        name,
        ...[figures.deliveredS.toFixed(2), figures.messagesPerS, figures.deliveriesPerS],
        ...times(figures.ackMs),
        ...times(figures.deliveryMs),
      ]),
    ),
    "",
    ...retryLines(report.total.retries),
    ...faultLines(report),
    report.ok
      ? "Nothing was missed, repeated, out of order or different."
      : `${report.total.faultCount} faults.`,
    "",
  ].join("\n");
}

const times = ({ p50, p95, p99, max }: Percentiles): string[] =>
  [p50, p95, p99, max].map((value) => value.toFixed(1));

/** The first column to the left, numbers to the right. */
function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  return cells.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)).join("  ")
  ).join("\n");
}

function retryLines(retries: Figures["retries"]): string[] {
  const parts = Object.entries(retries).map(([code, count]) => `${count} ${code}`);
  return parts.length === 0 ? [] : [`Tried again: ${parts.join(", ")}`, ""];
}

function faultLines(report: ReplayReport): string[] {
  return report.rooms.filter((room) => room.faultCount > 0).flatMap((room) => [
    `${room.name} (room ${room.roomId}):`,
    ...Object.entries(faultKinds).flatMap(([kind, meaning]) => {
      const details = room.faultDetails.filter((fault) => fault.kind === kind);
      const count = room.faults[kind as keyof typeof faultKinds] ?? 0;
      if (count === 0) return [];
      const more = count > details.length ? [`    … and ${count - details.length} more`] : [];
      return [`  ${count} ${kind}: ${meaning}`, ...details.map(({ text }) => `    ${text}`), ...more];
    }),
    "",
  ]);
}
