/** Upstash over REST, as a bus that breaks in ways of its own; and what breaks beside it. */
import { UPSTASH_FAULTS } from "../helpers/upstash_faults.ts";
import type { UpstashServer } from "../helpers/upstash_server.ts";
import { clientRows } from "./client_rows.ts";
import { lasts, type MatrixRow } from "./matrix_row.ts";
import { redisRows } from "./redis_rows.ts";
import type { World } from "./world.ts";

const LASTS_S = 4;

function ownUpstash({ upstash }: World): UpstashServer {
  if (upstash === undefined) throw new Error("The world has no Upstash");
  return upstash;
}

/** A row of Redis or of clients, where nodes reach each other by Upstash. */
const overUpstash = (row: MatrixRow): MatrixRow => ({
  ...row,
  name: `${row.name}, over Upstash`,
  isBounded: false,
  options: { ...row.options, upstash: true },
});

const ALSO = /^F3 |^F4 .* (refused|black hole|stalled) for 4 s|^F10 /;

const faultRows: MatrixRow[] = UPSTASH_FAULTS.map(({ what, start, end, lastsMs }) => ({
  name: `F6 Upstash: ${what}`,
  isBounded: false,
  options: { upstash: true },
  fault: async (world) => {
    start(ownUpstash(world));
    await lasts(Math.max(LASTS_S, lastsMs / 1_000));
    end(ownUpstash(world));
  },
}));

export const upstashRows: MatrixRow[] = [
  ...[...redisRows, ...clientRows].filter(({ name }) => ALSO.test(name)).map(overUpstash),
  ...faultRows,
];
