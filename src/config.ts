/**
 * The environment as one frozen Config: the only reader of Deno.env.
 * All faults are told in one message, before anything opens. Values of secrets are never in that message.
 */

export type Mode = "development" | "production";

export type JwtConfig = {
  readonly key: { readonly is: "secret"; readonly secret: string } | {
    readonly is: "jwks";
    readonly url: string;
  };
  /** Fixed here, never by a token. */
  readonly algorithms: readonly string[];
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
};

export type DatabaseConfig = {
  readonly url: string;
  readonly poolSize: number;
  readonly appendLanes: number;
  /** false behind PgBouncer in transaction mode before its version 1.21. */
  readonly prepare: boolean;
  readonly timeoutMs: number;
};

/** How nodes reach each other. */
export type BusConfig = { readonly is: "memory" } | {
  readonly is: "redis";
  readonly url: string;
  /** Of channels and keys: two deployments may share a server. */
  readonly prefix: string;
} | {
  readonly is: "upstash";
  readonly url: string;
  readonly token: string;
  readonly prefix: string;
};

export interface Config {
  readonly mode: Mode;
  readonly http: {
    readonly hostname: string;
    readonly port: number;
    readonly publicUrl: string | undefined;
    readonly corsOrigins: readonly string[];
    readonly drainMs: number;
  };
  readonly socket: {
    readonly pingIntervalMs: number;
    readonly pingTimeoutMs: number;
    readonly maxFrameBytes: number;
  };
  /** How much one user, one address and the node may have. */
  readonly limits: {
    readonly socketsPerUser: number;
    readonly socketsPerAddress: number;
    readonly socketsUnauthenticated: number;
    readonly sockets: number;
    readonly commandsPerSecond: number;
    readonly changesPerSecond: number;
    /** How late work may be before new work is shed; 0 for however late. */
    readonly overloadMs: number;
    /** The header in which a proxy that we trust names the client. */
    readonly clientAddressHeader: string | undefined;
  };
  readonly chat: {
    readonly maxMessageLength: number;
    readonly maxRoomMembers: number;
    /** 0 keeps messages for ever. */
    readonly retentionDays: number;
    readonly encryption: boolean;
  };
  readonly presence: {
    /** How long somebody types without saying so again. */
    readonly typingMs: number;
    /** How long somebody is there without asking for anything. */
    readonly idleMs: number;
    /** How long somebody without a connection is there: a reconnect is no news. */
    readonly graceMs: number;
  };
  readonly database: DatabaseConfig;
  readonly jwt: JwtConfig;
  readonly delivery: { readonly sweepMs: number; readonly holdMs: number; readonly lingerMs: number };
  readonly node: { readonly region: string; readonly machine: string | undefined };
  readonly bus: BusConfig;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

export type Environment = (name: string) => string | undefined;

/** Values of development that are not in the environment; each one that is there wins. */
export interface Defaults {
  databaseUrl?: string;
  jwtSecret?: string;
  port?: number;
}

const SECRET_BYTES_MIN = 32;
const HMAC = ["HS256"];
const ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/** Throws a TypeError that lists every fault of the environment, one a line. */
export function readConfig(
  mode: Mode,
  defaults: Defaults = {},
  env: Environment = (name) => Deno.env.get(name),
): Config {
  const from = new Reader(env);
  const databaseUrl = from.url("DATABASE_URL", ["postgres:", "postgresql:"], defaults.databaseUrl);
  if (databaseUrl === undefined) {
    from.fault("DATABASE_URL", "is missing: postgres://user:password@host:5432/database");
  }
  const config: Config = {
    mode,
    http: {
      // in development anybody who reaches /dev/token is whoever they like
      hostname: from.text("HOST", mode === "development" ? "127.0.0.1" : "0.0.0.0"),
      port: from.integer("PORT", defaults.port ?? 3001, 0, 65_535),
      publicUrl: from.url("PUBLIC_URL", ["http:", "https:"]),
      corsOrigins: from.list("CORS_ORIGIN", ["http://localhost:3000", "http://localhost:5173"]),
      drainMs: from.integer("DRAIN_TIMEOUT", 8_000, 0, 600_000),
    },
    socket: {
      pingIntervalMs: from.integer("SOCKET_PING_INTERVAL", 25_000, 100, 3_600_000),
      pingTimeoutMs: from.integer("SOCKET_PING_TIMEOUT", 60_000, 100, 3_600_000),
      maxFrameBytes: from.integer("SOCKET_MAX_BUFFER_SIZE", 1_048_576, 1_024, 64 * 1024 * 1024),
    },
    limits: {
      socketsPerUser: from.integer("SOCKET_MAX_PER_USER", 50, 1, 1_000_000),
      socketsPerAddress: from.integer("SOCKET_MAX_PER_ADDRESS", 5_000, 1, 1_000_000),
      socketsUnauthenticated: from.integer("SOCKET_MAX_UNAUTHENTICATED", 2_000, 1, 1_000_000),
      sockets: from.integer("SOCKET_MAX", 50_000, 1, 1_000_000),
      commandsPerSecond: from.integer("CHAT_RATE_COMMANDS", 100, 0, 1_000_000),
      changesPerSecond: from.integer("CHAT_RATE_CHANGES", 5, 0, 1_000_000),
      overloadMs: from.integer("CHAT_OVERLOAD_LAG", 750, 0, 60_000),
      clientAddressHeader: from.optional("CLIENT_ADDRESS_HEADER") ??
        (from.optional("FLY_MACHINE_ID") === undefined ? undefined : "fly-client-ip"),
    },
    chat: {
      maxMessageLength: from.integer("CHAT_MAX_MESSAGE_LENGTH", 5_000, 1, 100_000),
      maxRoomMembers: from.integer("CHAT_MAX_ROOM_MEMBERS", 500, 1, 1_000_000),
      retentionDays: from.integer("CHAT_MESSAGE_RETENTION_DAYS", 365, 0, 36_500),
      encryption: from.flag("CHAT_ENABLE_ENCRYPTION", true),
    },
    presence: {
      typingMs: from.integer("CHAT_TYPING_TIMEOUT", 3_000, 100, 60_000),
      idleMs: from.integer("CHAT_ONLINE_STATUS_TIMEOUT", 300_000, 100, 86_400_000),
      graceMs: from.integer("CHAT_PRESENCE_GRACE", 5_000, 0, 60_000),
    },
    database: {
      url: databaseUrl ?? "",
      poolSize: from.integer("DATABASE_POOL_SIZE", 10, 1, 200),
      appendLanes: from.integer("DATABASE_APPEND_LANES", 8, 1, 64),
      prepare: from.flag("DATABASE_PREPARE", true),
      timeoutMs: from.integer("DATABASE_TIMEOUT", 5_000, 100, 60_000),
    },
    jwt: readJwt(from, defaults.jwtSecret),
    delivery: {
      sweepMs: from.integer("CHAT_SWEEP_INTERVAL", 5_000, 50, 600_000),
      holdMs: from.integer("CHAT_GAP_HOLD", 100, 0, 10_000),
      lingerMs: 30_000,
    },
    node: {
      region: from.text("FLY_REGION", "local"),
      machine: from.optional("FLY_MACHINE_ID") ?? from.optional("HOSTNAME") ??
        (mode === "development" ? mode : undefined),
    },
    bus: readBus(from),
    logLevel: from.oneOf("LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
  };
  from.throwIfFaulty();
  return Object.freeze(config);
}

/** REDIS_URL wins: one connection over TCP does what dozens of requests do over REST. */
function readBus(from: Reader): BusConfig {
  const prefix = from.text("REDIS_PREFIX", "scroll-chat:");
  const redis = from.url("REDIS_URL", ["redis:", "rediss:"]);
  const url = from.url("UPSTASH_REDIS_REST_URL", ["https:", "http:"]);
  const token = from.optional("UPSTASH_REDIS_REST_TOKEN");
  if (url !== undefined && /[?#@]/.test(url)) {
    from.fault(
      "UPSTASH_REDIS_REST_URL",
      "must have no user and no query: the token has a variable of its own",
    );
  }
  if (url !== undefined && token === undefined) {
    from.fault("UPSTASH_REDIS_REST_TOKEN", "is missing beside UPSTASH_REDIS_REST_URL");
  }
  if (from.optional("UPSTASH_REDIS_REST_URL") === undefined && token !== undefined) {
    from.fault("UPSTASH_REDIS_REST_URL", "is missing beside UPSTASH_REDIS_REST_TOKEN");
  }
  if (redis !== undefined) return { is: "redis", url: redis, prefix };
  if (url !== undefined) return { is: "upstash", url: url.replace(/\/+$/, ""), token: token ?? "", prefix };
  return { is: "memory" };
}

function readJwt(from: Reader, fallback: string | undefined): JwtConfig {
  const url = from.url("JWT_JWKS_URL", ["http:", "https:"]);
  const given = from.optional("JWT_SECRET");
  const secret = given ?? (url === undefined ? fallback : undefined);
  if (url !== undefined && given !== undefined) {
    from.fault("JWT_SECRET", "and JWT_JWKS_URL are both set: keep one");
  }
  if (url === undefined && secret === undefined) from.fault("JWT_SECRET", "or JWT_JWKS_URL is missing");
  if (secret !== undefined && new TextEncoder().encode(secret).length < SECRET_BYTES_MIN) {
    from.fault("JWT_SECRET", `must have at least ${SECRET_BYTES_MIN} bytes`);
  }
  const known = url === undefined ? HMAC : ASYMMETRIC;
  const algorithms = from.list("JWT_ALGORITHMS", url === undefined ? HMAC : ["RS256", "ES256", "EdDSA"]);
  const unknown = algorithms.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    from.fault("JWT_ALGORITHMS", `may name ${known.join(", ")} here, not ${unknown.join(", ")}`);
  }
  return {
    key: url === undefined ? { is: "secret", secret: secret ?? "" } : { is: "jwks", url },
    algorithms,
    issuer: from.optional("JWT_ISSUER"),
    audience: from.optional("JWT_AUDIENCE"),
  };
}

/** Reads typed values and gathers faults; an empty variable counts as not set. */
class Reader {
  readonly #faults: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  fault(name: string, text: string): void {
    this.#faults.push(`${name} ${text}`);
  }

  throwIfFaulty(): void {
    if (this.#faults.length > 0) throw new TypeError(`Bad environment:\n  ${this.#faults.join("\n  ")}`);
  }

  optional(name: string): string | undefined {
    const value = this.#env(name)?.trim();
    return value === "" ? undefined : value;
  }

  text(name: string, fallback: string): string {
    return this.optional(name) ?? fallback;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    this.fault(name, `must be a whole number from ${min} to ${max}, not "${text}"`);
    return fallback;
  }

  flag(name: string, fallback: boolean): boolean {
    const text = this.optional(name)?.toLowerCase();
    if (text === undefined) return fallback;
    if (text === "true" || text === "1") return true;
    if (text === "false" || text === "0") return false;
    this.fault(name, `must be true or false, not "${text}"`);
    return fallback;
  }

  list(name: string, fallback: readonly string[]): readonly string[] {
    const items = this.optional(name)?.split(",").map((item) => item.trim()).filter((item) => item !== "");
    return items === undefined || items.length === 0 ? fallback : items;
  }

  oneOf<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const text = this.optional(name);
    const choice = choices.find((known) => known === text);
    if (text !== undefined && choice === undefined) this.fault(name, `must be one of ${choices.join(", ")}`);
    return choice ?? fallback;
  }

  /** The value is not repeated in a fault: a URL may hold a password. */
  url(name: string, protocols: readonly string[], fallback?: string): string | undefined {
    const text = this.optional(name) ?? fallback;
    if (text === undefined) return undefined;
    if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
    this.fault(name, `must be a URL that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`);
    return undefined;
  }
}
