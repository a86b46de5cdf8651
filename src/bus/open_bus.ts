/** The bus that the configuration names, and presence leases over the same. */
import type { BusConfig } from "../config.ts";
import type { Log } from "../log.ts";
import type { Bus } from "./bus.ts";
import { MemoryBus } from "./memory_bus.ts";
import { MemoryLeases } from "./memory_leases.ts";
import type { PresenceLeases } from "./presence_leases.ts";
import { RedisBus } from "./redis_bus.ts";
import { RedisLeases } from "./redis_leases.ts";
import { RedisLink } from "./redis_link.ts";
import { redisSessions } from "./redis_session.ts";
import { upstashSessions } from "./upstash_session.ts";

const RETRY = { minMs: 25, maxMs: 500 };
/** Each attempt is billed. */
const UPSTASH_RETRY = { minMs: 250, maxMs: 5_000 };

export interface OpenBus extends AsyncDisposable {
  bus: Bus;
  leases: PresenceLeases;
}

/** Redis out of reach is no fault: the node starts, and finds it later. */
export async function openBus(config: BusConfig, node: { nodeId: string; log: Log }): Promise<OpenBus> {
  await using parts = new AsyncDisposableStack();
  if (config.is === "memory") {
    const [bus, leases] = [parts.use(new MemoryBus()), parts.use(new MemoryLeases())];
    return own(bus, leases, parts.move());
  }
  const sessions = config.is === "redis"
    ? { open: redisSessions(config.url), retry: RETRY }
    : { open: upstashSessions(config), retry: UPSTASH_RETRY };
  const link = parts.use(new RedisLink({ ...sessions, prefix: config.prefix, ...node }));
  const leases = parts.use(await RedisLeases.make({ link, ...node }));
  const bus = parts.use(new RedisBus(link, config.is));
  await link.start();
  return own(bus, leases, parts.move());
}

const own = (bus: Bus, leases: PresenceLeases, parts: AsyncDisposableStack): OpenBus => ({
  bus,
  leases,
  [Symbol.asyncDispose]: () => parts.disposeAsync(),
});
