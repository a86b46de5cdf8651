/** The page that tells the figures of read receipts. */
import { RECEIPTS_BYTES_PER_S, RECEIPTS_MAX, RECEIPTS_WINDOW_MS } from "../../src/protocol/limits.ts";
import type { Percentiles } from "../replay/percentiles.ts";
import type { ReadersResult } from "./readers.ts";

export interface Phase {
  name: string;
  spokenS: number;
  cpuS: number;
  acks: Percentiles;
  marks: Percentiles;
  result: ReadersResult;
}

export interface Figures {
  members: number;
  messages: number;
  rate: number;
  withinMs: number;
  phases: Phase[];
  machine: string;
  /** Of the machine, before. */
  load: string;
}

const count = (value: number): string => Math.round(value).toLocaleString("en-US");
const ms = ({ p50, p99 }: Percentiles): string => `${p50} / ${p99} ms`;

export function describe({ members, messages, rate, withinMs, phases, machine, load }: Figures): string {
  const readers = members - 1;
  const rows: [string, (phase: Phase) => string][] = [
    ["messages, delivered", ({ result }) => `${messages}, ${count(result.messages)}`],
    ["acknowledgement of a message, p50 / p99", ({ acks }) => ms(acks)],
    ["marks as read, refused", ({ result }) => `${count(result.marks)}, ${count(result.refused)}`],
    ["acknowledgement of a mark, p50 / p99", ({ result, marks }) => result.marks === 0 ? "–" : ms(marks)],
    ["pushes `read_receipt`, all connections", ({ result }) => count(result.pushes)],
    [
      "of one connection: pushes (fewest to most), a second",
      ({ result }) =>
        result.marks === 0
          ? "–"
          : `${result.fewestPushes} to ${result.mostPushes}, ${
            (result.mostPushes / result.seconds).toFixed(1)
          }`,
    ],
    ["receipts that one connection heard", ({ result }) => count(result.receiptsOfOne)],
    [
      "readers known to one connection to have read all, in the end",
      ({ result }) => result.marks === 0 ? "–" : `${result.upToDate} of ${readers}`,
    ],
    [
      "bytes of receipts: in all, a second, a second and connection",
      ({ result: { marks, bytes, seconds } }) =>
        marks === 0
          ? "–"
          : `${count(bytes / 2 ** 20)} MiB, ${(bytes / seconds / 2 ** 20).toFixed(1)} MiB, ${
            (bytes / seconds / readers / 1024).toFixed(1)
          } KiB`,
    ],
    [
      "from the first message to the last receipt",
      ({ result }) => result.marks === 0 ? "–" : `${result.seconds.toFixed(1)} s`,
    ],
    [
      "the node's processor time: in all, of the time that it was spoken",
      ({ cpuS, spokenS }) => `${cpuS.toFixed(1)} s, ${Math.round(cpuS / spokenS * 100)} %`,
    ],
  ];
  return `# Read receipts in a room of ${members}

\`deno task bench:receipts\`: ${messages} messages at ${rate} a second to ${readers} sockets that hear the room. First nobody
reads; then everybody reads every message, within ${withinMs} ms of its coming. Receipts are gathered: at most one push a
window of ${RECEIPTS_WINDOW_MS} ms or more, of at most ${RECEIPTS_MAX} readers, of each reader the newest; and the windows are as long as
keeps a room's receipts below ${RECEIPTS_BYTES_PER_S / 2 ** 20} MiB a second of a node. Ungathered it would be
${count(messages * readers * readers)} pushes.

| | ${phases.map(({ name }) => name).join(" | ")} |
| --- | ${phases.map(() => "---:").join(" | ")} |
${rows.map(([name, of]) => `| ${name} | ${phases.map(of).join(" | ")} |`).join("\n")}

Machine: ${machine}; node, readers, Postgres and sender together on it. Its load before: ${load}.
`;
}
