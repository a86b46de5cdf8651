/** Each way in which Upstash breaks, as a switch of the tests' own. */
import type { UpstashServer } from "./upstash_server.ts";

export interface FaultRow {
  what: string;
  start(server: UpstashServer): void;
  end(server: UpstashServer): void;
  /** Until it shows; 0: it is over as soon as it has begun. */
  lastsMs: number;
}

const answers = (what: string, status: number, body: string): FaultRow => ({
  what: `every request answered with ${what}`,
  start: (server) => server.fault = { is: "status", status, body },
  end: (server) => server.fault = undefined,
  lastsMs: 1_500,
});

export const UPSTASH_FAULTS: readonly FaultRow[] = [
  answers("500", 500, '{"error":"ERR internal"}'),
  answers("429, not in JSON", 429, "<h1>slow down</h1>"),
  {
    what: "every answer 5 s late",
    start: (server) => server.fault = { is: "late", ms: 5_000 },
    end: (server) => server.fault = undefined,
    lastsMs: 6_000,
  },
  {
    what: "subscriptions cut in the middle of an event",
    start: (server) => server.cutStreams(),
    end: () => {},
    lastsMs: 0,
  },
  {
    what: "subscriptions that end cleanly",
    start: (server) => server.endStreams(),
    end: () => {},
    lastsMs: 0,
  },
  {
    what: "subscriptions by which nothing comes",
    start: (server) => server.isSilent = true,
    end: (server) => server.isSilent = false,
    lastsMs: 8_000,
  },
];
