import { deepStrictEqual } from "node:assert/strict";
import { percentilesOf } from "../../bench/replay/percentiles.ts";

Deno.test("percentilesOf() gives measured values by nearest rank", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  deepStrictEqual(percentilesOf(hundred), { count: 100, p50: 50, p95: 95, p99: 99, max: 100 });
  deepStrictEqual(percentilesOf([7.06]), { count: 1, p50: 7.1, p95: 7.1, p99: 7.1, max: 7.1 });
  deepStrictEqual(percentilesOf([]), { count: 0, p50: 0, p95: 0, p99: 0, max: 0 });
});
