/** The matrix, in its order. Rows of the broken build are the same ones. */
import { clientRows } from "./client_rows.ts";
import type { MatrixRow } from "./matrix_row.ts";
import { nodeRows } from "./node_rows.ts";
import { postgresRows } from "./postgres_rows.ts";
import { redisRows } from "./redis_rows.ts";
import { regionRows } from "./region_rows.ts";
import { upstashRows } from "./upstash_rows.ts";

const number = ({ name }: MatrixRow): number => Number(/^F(\d+)/.exec(name)?.[1]);

export const rows: readonly MatrixRow[] = [
  ...[...nodeRows, ...redisRows, ...postgresRows, ...clientRows],
  ...[...upstashRows, ...regionRows],
].sort((a, b) => number(a) - number(b));
