/** The figures of a run, as they are written down. */
import { percentilesOf } from "../replay/percentiles.ts";
import type { ClientsAnswer } from "./clients.ts";
import type { RssFigures } from "./rss_watch.ts";

export interface Run {
  uploads: number;
  bytes: number;
  lengths: boolean;
  s3: boolean;
  result: ClientsAnswer;
  rss: RssFigures;
  load: string;
  machine: string;
}

export function describe({ uploads, bytes, lengths, s3, result, rss, load, machine }: Run): string {
  const { p50, p99, max } = percentilesOf(result.uploadMs);
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  const row = (what: string, figure: string): string => `| ${what} | ${figure} |`;
  return [
    "# Uploads at once",
    "",
    `${uploads} clients send a message with a file of ${bytes / 1e6} MB at the same moment` +
    `${lengths ? "" : ", in chunks, without a length"}; whoever is told that the node is busy`,
    `(it takes ${
      s3 ? 10 : 16
    } bodies at once) comes again after \`Retry-After\`. Each file is scanned by a real clamd,`,
    "then fetched by",
    `another user and held against its SHA-256. They lie in ${
      s3 ? "an S3 server's bucket" : "a folder"
    }. Node, Postgres,`,
    "scanner, store and clients share one machine:",
    `${machine}, load before: ${load}. \`deno task bench:uploads\`.`,
    "",
    "| | |",
    "| --- | --- |",
    row("arrived, intact by hash", `${uploads - result.damaged - result.missing} of ${uploads}`),
    row("damaged, missing", `${result.damaged}, ${result.missing}`),
    row("all messages sent after", `${seconds(result.wholeMs)} s`),
    row("all files scanned and fetched after", `${seconds(result.scannedMs)} s`),
    row("one upload with its tries, p50, p99, max", `${seconds(p50)}, ${seconds(p99)}, ${seconds(max)} s`),
    row("told to come again (503)", `${result.busy}`),
    row("told that their body came too slowly (408)", `${result.slow}`),
    row("cut off before they could read that", `${result.cut}`),
    row("memory of the node before (RSS)", `${rss.baseMib.toFixed(0)} MiB`),
    row("its peak above that", `${(rss.peakMib - rss.baseMib).toFixed(0)} MiB`),
    row("at the end above that", `${(rss.endMib - rss.baseMib).toFixed(0)} MiB`),
    "",
  ].join("\n");
}
