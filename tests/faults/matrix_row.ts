/** What rows of the matrix are made of. */
import { setTimeout as sleep } from "node:timers/promises";
import type { NodeSlot } from "./node_slot.ts";
import type { PrivatePostgres } from "./private_postgres.ts";
import type { Row } from "./row.ts";
import type { World } from "./world.ts";

/** `isBounded`: runs with every change, not only in the whole. */
export interface MatrixRow extends Row {
  isBounded: boolean;
}

/** The node that is broken, and from which a member is removed; its neighbours are not. */
export function brokenNode({ nodes }: World): NodeSlot {
  const node = nodes[1];
  if (node === undefined) throw new Error("There is no second node");
  return node;
}

export function ownPostgres({ postgres }: World): PrivatePostgres {
  if (postgres === undefined) throw new Error("The world has no Postgres of its own");
  return postgres;
}

/** A fault's own length. */
export const lasts = (seconds: number): Promise<void> => sleep(seconds * 1_000);
