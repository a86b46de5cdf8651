/** The report: what a replay did, how fast, and what it found wrong. The shape of `--json`; no behaviour but sums. */
import type { Fault, FaultKind } from "./faults.ts";
import { type Percentiles, percentilesOf } from "./percentiles.ts";
import type { ScriptCounts } from "./script.ts";

export interface Figures {
  script: ScriptCounts;
  /** Messages that were acknowledged. */
  acknowledged: number;
  /** Messages that came to listeners as pushes. */
  deliveries: number;
  /** Listeners, counted anew for each join. */
  hearings: number;
  history: number;
  searches: number;
  /** Refusals that were tried again, by their code. */
  retries: Partial<Record<string, number>>;
  /** From the first step to the last ack, and to the last delivery. */
  playedS: number;
  deliveredS: number;
  messagesPerS: number;
  deliveriesPerS: number;
  ackMs: Percentiles;
  deliveryMs: Percentiles;
  faults: Partial<Record<FaultKind, number>>;
  faultCount: number;
}

export interface RoomReport extends Figures {
  name: string;
  roomId: string;
  /** The first few faults of each kind. */
  faultDetails: Fault[];
}

export interface ReplayReport {
  run: string;
  serverUrl: string;
  door: string;
  /** Undefined: as fast as it goes. */
  speed: number | undefined;
  startedAt: string;
  ok: boolean;
  rooms: RoomReport[];
  total: Figures;
}

/** A room's report with the latencies it was made of. */
export interface RoomResult {
  report: RoomReport;
  ackMs: number[];
  deliveryMs: number[];
}

/** Sums; `together`: the rooms were played at the same time. Percentiles are of all latencies. */
export function totalOf(results: readonly RoomResult[], together: boolean): Figures {
  const reports = results.map((result) => result.report);
  const sum = (pick: (report: RoomReport) => number): number =>
    reports.reduce((total, report) => total + pick(report), 0);
  const time = (pick: (report: RoomReport) => number): number =>
    together ? reports.reduce((longest, report) => Math.max(longest, pick(report)), 0) : sum(pick);
  const acknowledged = sum((report) => report.acknowledged);
  const deliveries = sum((report) => report.deliveries);
  const playedS = time((report) => report.playedS);
  const deliveredS = time((report) => report.deliveredS);
  const longest = reports.map((report) => report.script.longestMessage);
  return {
    script: {
      ...addUp(reports.map((report) => ({ ...report.script }))) as unknown as ScriptCounts,
      longestMessage: longest.reduce((a, b) => Math.max(a, b), 0),
    },
    acknowledged,
    deliveries,
    hearings: sum((report) => report.hearings),
    history: sum((report) => report.history),
    searches: sum((report) => report.searches),
    retries: addUp(reports.map((report) => report.retries)),
    playedS,
    deliveredS,
    messagesPerS: rate(acknowledged, playedS),
    deliveriesPerS: rate(deliveries, deliveredS),
    ackMs: percentilesOf(results.flatMap((result) => result.ackMs)),
    deliveryMs: percentilesOf(results.flatMap((result) => result.deliveryMs)),
    faults: addUp(reports.map((report) => report.faults)),
    faultCount: sum((report) => report.faultCount),
  };
}

export const rate = (count: number, seconds: number): number =>
  seconds === 0 ? 0 : Math.round(count / seconds);

function addUp(counts: readonly Partial<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const one of counts) {
    for (const [name, count] of Object.entries(one)) sums[name] = (sums[name] ?? 0) + (count ?? 0);
  }
  return sums;
}
