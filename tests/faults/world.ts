/**
 * The world of one row: nodes, one Redis or Upstash in front of it, one Postgres, a proxy on each link that is to be broken,
 * and clients over all nodes, of the native door unless the row names others.
 */
import { migrate } from "../../src/store/migrate.ts";
import { createTestDatabase, MIGRATIONS, quietLog } from "../helpers/databases.ts";
import { RedisServer } from "../helpers/redis.ts";
import { RestClient } from "../helpers/rest_client.ts";
import { UpstashServer } from "../helpers/upstash_server.ts";
import { FaultProxy, type Mangler } from "./fault_proxy.ts";
import { NodeSlot } from "./node_slot.ts";
import { begin, LONELY, populate, type Population, type PopulationOptions } from "./population.ts";
import { steadyPort } from "./ports.ts";
import { PrivatePostgres, type PrivatePostgresOptions } from "./private_postgres.ts";
import type { Receiver } from "./receiver.ts";

export interface WorldOptions extends Pick<PopulationOptions, "seed" | "perSecond" | "busyRoom" | "links"> {
  nodes: number;
  /** Nodes that neither repair nor sweep, clients that never ask for what they missed. */
  isBroken?: boolean;
  /** A Postgres of its own; else a database of the tests' server. */
  postgres?: PrivatePostgresOptions;
  /** `oneClient`: of the lonely receiver alone. */
  proxies?: { redis?: boolean; postgres?: boolean; clients?: boolean; oneClient?: boolean };
  /** Nodes reach each other by Upstash's REST. */
  upstash?: boolean;
  /** Nodes of another region than Postgres and Redis, and the round trip to those. */
  far?: { nodes: readonly number[]; roundTripMs: number };
  /** Of what Redis says to nodes. */
  mangler?: () => Mangler;
  env?: Record<string, string>;
  envOf?: (node: number) => Record<string, string>;
}

export interface Removal {
  receiver: Receiver;
  roomId: string;
}

interface Servers {
  databaseUrl: string;
  postgres: PrivatePostgres | undefined;
  redis: RedisServer;
  upstash: UpstashServer | undefined;
}

export class World implements AsyncDisposable {
  readonly databaseUrl: string;
  readonly postgres: PrivatePostgres | undefined;
  readonly redis: RedisServer;
  readonly upstash: UpstashServer | undefined;
  readonly nodes: readonly NodeSlot[];
  /** In front of one receiver alone. */
  readonly lonelyProxy: FaultProxy | undefined;
  readonly removals: Removal[] = [];
  readonly #removing: Promise<void>[] = [];
  readonly #population: Population;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    servers: Servers,
    init: {
      nodes: NodeSlot[];
      lonelyProxy: FaultProxy | undefined;
      population: Population;
      parts: AsyncDisposableStack;
    },
  ) {
    this.databaseUrl = servers.databaseUrl;
    this.postgres = servers.postgres;
    this.redis = servers.redis;
    this.upstash = servers.upstash;
    this.nodes = init.nodes;
    this.lonelyProxy = init.lonelyProxy;
    this.#population = init.population;
    this.#parts = init.parts;
  }

  /** Settles when all receivers hear their rooms. */
  static async start(options: WorldOptions): Promise<World> {
    await using parts = new AsyncDisposableStack();
    const servers = {
      ...await openPostgres(options, parts),
      ...await openRedis(options, parts),
    };
    const nodes = Array.from({ length: options.nodes }, (_, i) => parts.use(placeNode(i, servers, options)));
    await Promise.all(nodes.map((node) => node.start()));
    const lonelyNode = nodes[LONELY % nodes.length];
    const lonelyProxy = options.proxies?.oneClient && lonelyNode !== undefined
      ? parts.use(FaultProxy.to(lonelyNode.url))
      : undefined;
    const population = await populate(nodes, {
      ...options,
      catchesUp: !(options.isBroken ?? false),
      lonelyUrl: lonelyProxy?.url,
    });
    const world = new World(servers, { nodes, lonelyProxy, population, parts: parts.move() });
    try {
      await begin(population);
    } catch (fault) {
      await world[Symbol.asyncDispose]();
      throw fault;
    }
    return world;
  }

  get rooms(): Population["rooms"] {
    return this.#population.rooms;
  }

  get publishers(): Population["publishers"] {
    return this.#population.publishers;
  }

  get receivers(): Population["receivers"] {
    return this.#population.receivers;
  }

  get lonely(): Receiver {
    const receiver = this.receivers[LONELY];
    if (receiver === undefined) throw new Error("There are too few receivers");
    return receiver;
  }

  owner(node: number): RestClient {
    return new RestClient(this.nodes[node % this.nodes.length]?.url ?? "", this.#population.ownerToken);
  }

  /** A member is taken out of a room, by whichever node answers; tried until one does. */
  remove(receiver: Receiver | undefined, roomId: string | undefined): void {
    if (receiver === undefined || roomId === undefined) throw new Error("Nobody to remove");
    const removal: Removal = { receiver, roomId };
    this.removals.push(removal);
    this.#removing.push(this.#remove(removal));
  }

  async #remove({ receiver, roomId }: Removal): Promise<void> {
    const path = `/rooms/${roomId}/members/${receiver.userId}`;
    for (let turn = 0; turn < 600; turn++) {
      const { status } = await this.owner(turn).delete(path).catch(() => ({ status: 0 }));
      if (status === 200 || status === 404) return; // 404: an answer was lost
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error("The member could not be removed");
  }

  async removed(): Promise<void> {
    await Promise.all(this.#removing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const leaving = Promise.all(
      [...this.publishers, ...this.receivers].map((client) => client[Symbol.asyncDispose]()),
    );
    await Promise.allSettled(this.#removing);
    await this.#parts.disposeAsync(); // which ends whatever does not close by itself
    await leaving;
  }
}

function placeNode(index: number, { databaseUrl, redis, upstash }: Servers, options: WorldOptions): NodeSlot {
  const { proxies, mangler, isBroken = false, env, envOf, far } = options;
  const isFar = far?.nodes.includes(index) ?? false;
  const busUrl = upstash?.url ?? redis.url;
  const redisProxy = proxies?.redis || isFar ? FaultProxy.to(busUrl, mangler && { mangler }) : undefined;
  const postgresProxy = proxies?.postgres || isFar ? FaultProxy.to(databaseUrl) : undefined;
  if (isFar) {
    for (const proxy of [redisProxy, postgresProxy]) if (proxy) proxy.delayMs = (far?.roundTripMs ?? 0) / 2;
  }
  const nodeBusUrl = redisProxy?.through(busUrl) ?? busUrl;
  return new NodeSlot({
    ...{ index, isBroken, redisProxy, postgresProxy, hasClientProxy: proxies?.clients ?? false },
    databaseUrl: postgresProxy?.through(databaseUrl) ?? databaseUrl,
    env: {
      ...(upstash === undefined
        ? { REDIS_URL: nodeBusUrl }
        : { UPSTASH_REDIS_REST_URL: nodeBusUrl, UPSTASH_REDIS_REST_TOKEN: UpstashServer.TOKEN }),
      ...(far === undefined ? {} : { PRIMARY_REGION: "home", FLY_REGION: isFar ? "far" : "home" }),
      CHAT_RATE_CHANGES: "0", // members are brought in faster than people do
      ...env,
      ...envOf?.(index),
    },
  });
}

async function openRedis(
  options: WorldOptions,
  parts: AsyncDisposableStack,
): Promise<Pick<Servers, "redis" | "upstash">> {
  if (!options.upstash) {
    return { redis: parts.use(await RedisServer.start([], steadyPort())), upstash: undefined };
  }
  const upstash = parts.use(await UpstashServer.start(steadyPort()));
  return { redis: upstash.redis, upstash };
}

async function openPostgres(
  { postgres: own }: WorldOptions,
  parts: AsyncDisposableStack,
): Promise<Pick<Servers, "postgres" | "databaseUrl">> {
  if (own === undefined) {
    return { postgres: undefined, databaseUrl: parts.use(await createTestDatabase()).url };
  }
  const postgres = parts.use(await PrivatePostgres.start(own));
  await migrate({ url: postgres.url }, MIGRATIONS, quietLog);
  return { postgres, databaseUrl: postgres.url };
}
