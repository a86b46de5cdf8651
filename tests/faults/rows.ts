/** The matrix, in its order. Rows of the broken build are the same ones; those by Socket.IO follow what they are made of. */
import { clientRows } from "./client_rows.ts";
import type { MatrixRow } from "./matrix_row.ts";
import { nodeRows } from "./node_rows.ts";
import { postgresRows } from "./postgres_rows.ts";
import { redisRows } from "./redis_rows.ts";
import { regionRows } from "./region_rows.ts";
import { bySocketIo } from "./socketio_rows.ts";
import { upstashRows } from "./upstash_rows.ts";

const number = ({ name }: MatrixRow): number => Number(/^F(\d+)/.exec(name)?.[1]);

const nativeRows = [...nodeRows, ...redisRows, ...postgresRows, ...clientRows];

export const rows: readonly MatrixRow[] = [
  ...[...nativeRows, ...bySocketIo(nativeRows)],
  ...[...upstashRows, ...regionRows],
].sort((a, b) => number(a) - number(b));
