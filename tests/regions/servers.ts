/**
 * The servers of two regions, on one machine: in the home region a primary and Redis, in the far one a standby. What goes from
 * one region to the other passes a proxy that holds every piece for half of the round trip.
 */
import { MIGRATIONS, quietLog } from "../helpers/databases.ts";
import { RedisServer } from "../helpers/redis.ts";
import { migrate } from "../../src/store/migrate.ts";
import { FaultProxy } from "../faults/fault_proxy.ts";
import { PrivatePostgres } from "../faults/private_postgres.ts";
import { steadyPort } from "../faults/ports.ts";

/** There and back. */
export const ROUND_TRIP_MS = 150;
export const [HOME, FAR] = ["fra", "sin"] as const;

/** What the far region has of the home one. */
export interface Links {
  /** Its nodes' way to the primary. */
  primary: FaultProxy;
  redis: FaultProxy;
  /** The standby's way to the primary. */
  replication: FaultProxy;
}

export class RegionServers implements AsyncDisposable {
  readonly primary: PrivatePostgres;
  readonly standby: PrivatePostgres;
  readonly redis: RedisServer;
  readonly links: Links;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    init: { primary: PrivatePostgres; standby: PrivatePostgres; redis: RedisServer; links: Links },
    parts: AsyncDisposableStack,
  ) {
    this.primary = init.primary;
    this.standby = init.standby;
    this.redis = init.redis;
    this.links = init.links;
    this.#parts = parts;
  }

  static async start(): Promise<RegionServers> {
    await using parts = new AsyncDisposableStack();
    const redis = parts.use(await RedisServer.start([], steadyPort()));
    const primary = parts.use(
      await PrivatePostgres.start({ settings: { wal_sender_timeout: "5s", max_wal_senders: "4" } }),
    );
    await migrate({ url: primary.url }, MIGRATIONS, quietLog);
    const links = {
      primary: parts.use(FaultProxy.to(primary.url)),
      redis: parts.use(FaultProxy.to(redis.url)),
      replication: parts.use(FaultProxy.to(primary.url)),
    };
    for (const link of Object.values(links)) link.delayMs = ROUND_TRIP_MS / 2;
    const standby = parts.use(await PrivatePostgres.startStandby(primary, links.replication.port));
    return new RegionServers({ primary, standby, redis, links }, parts.move());
  }

  /** Of a node in the home region. */
  get homeEnv(): Record<string, string> {
    return {
      DATABASE_URL: this.primary.url,
      REDIS_URL: this.redis.url,
      FLY_REGION: HOME,
      PRIMARY_REGION: HOME,
    };
  }

  get farEnv(): Record<string, string> {
    return {
      DATABASE_URL: this.links.primary.through(this.primary.url),
      DATABASE_REPLICA_URL: this.standby.url,
      REDIS_URL: this.links.redis.through(this.redis.url),
      FLY_REGION: FAR,
      PRIMARY_REGION: HOME,
    };
  }

  /** Nothing passes between the regions any more, or all of it again. */
  cut(mode: "cut" | "hole" | "pass"): void {
    for (const link of Object.values(this.links)) link.set(mode);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}
