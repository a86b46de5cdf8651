/** Where in the world this node is, and what is near it. */
import type { EnvironmentReader } from "./environment.ts";

export interface RegionConfig {
  readonly here: string;
  /** Postgres takes writes in another region. */
  readonly isFar: boolean;
  /** A standby near this node, which reads are asked of; none where the primary itself is near. */
  readonly replicaUrl: string | undefined;
}

/** DATABASE_REPLICA_URL may be the same for all nodes: those beside the primary pass over it. */
export function readRegion(from: EnvironmentReader): RegionConfig {
  const here = from.text("FLY_REGION", "local");
  const primary = from.optional("PRIMARY_REGION");
  const replicaUrl = from.url("DATABASE_REPLICA_URL", ["postgres:", "postgresql:"]);
  return {
    here,
    isFar: primary !== undefined && primary !== here,
    replicaUrl: primary === here ? undefined : replicaUrl,
  };
}
