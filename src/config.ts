/**
 * The environment as one frozen Config: the only reader of Deno.env.
 * All faults are told in one message, before anything opens. Values of secrets are never in that message.
 */

import { type BusConfig, readBus } from "./config/bus_config.ts";
import { type DatabaseConfig, readDatabase } from "./config/database_config.ts";
import { type Environment, EnvironmentReader } from "./config/environment.ts";
import { type FilesConfig, readFiles } from "./config/files_config.ts";
import { type JwtConfig, readJwt } from "./config/jwt_config.ts";
import { type MachinesConfig, readMachines } from "./config/machines_config.ts";
import { readRegion, type RegionConfig } from "./config/region_config.ts";

export type { BusConfig, DatabaseConfig, Environment, FilesConfig, JwtConfig };
export type Mode = "development" | "production";

export interface Config {
  readonly mode: Mode;
  readonly http: {
    readonly hostname: string;
    readonly port: number;
    /** Of /metrics; undefined for none. */
    readonly metricsPort: number | undefined;
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
  readonly files: FilesConfig;
  readonly database: DatabaseConfig;
  readonly jwt: JwtConfig;
  readonly delivery: { readonly sweepMs: number; readonly holdMs: number; readonly lingerMs: number };
  readonly region: RegionConfig;
  readonly node: { readonly region: string; readonly machine: string | undefined };
  readonly machines: MachinesConfig;
  readonly bus: BusConfig;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** Values of development that are not in the environment; each one that is there wins. */
export interface Defaults {
  databaseUrl?: string;
  jwtSecret?: string;
  filesDir?: string;
  port?: number;
}

/** As a browser writes it: with a path, or a slash at its end, it would never be equal to one. */
function isOrigin(text: string): boolean {
  if (text === "*") return true;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/.test(text) || !URL.canParse(text)) return false;
  const { origin } = new URL(text);
  return origin === "null" || origin === text; // null: of apps and extensions
}

/** Throws a TypeError that lists every fault of the environment, one a line. */
export function readConfig(
  mode: Mode,
  defaults: Defaults = {},
  env: Environment = (name) => Deno.env.get(name),
): Config {
  const from = new EnvironmentReader(env);
  const region = readRegion(from);
  const config: Config = {
    mode,
    http: {
      // in development anybody who reaches /dev/token is whoever they like
      hostname: from.text("HOST", mode === "development" ? "127.0.0.1" : "0.0.0.0"),
      port: from.integer("PORT", defaults.port ?? 3001, 0, 65_535),
      metricsPort: from.optional("METRICS_PORT") === undefined
        ? undefined
        : from.integer("METRICS_PORT", 0, 0, 65_535),
      publicUrl: from.url("PUBLIC_URL", ["http:", "https:"]),
      corsOrigins: from.list("CORS_ORIGIN", ["http://localhost:3000", "http://localhost:5173"], {
        fits: isOrigin,
        like: "https://www.example.edu or *",
      }),
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
    files: readFiles(from, { folder: defaults.filesDir, isDevelopment: mode === "development" }),
    database: { ...readDatabase(from, defaults.databaseUrl), isFar: region.isFar },
    jwt: readJwt(from, defaults.jwtSecret),
    delivery: {
      sweepMs: from.integer("CHAT_SWEEP_INTERVAL", 5_000, 50, 600_000),
      holdMs: from.integer("CHAT_GAP_HOLD", region.isFar ? 250 : 100, 0, 10_000),
      lingerMs: 30_000,
    },
    region,
    node: {
      region: region.here,
      machine: from.optional("FLY_MACHINE_ID") ?? from.optional("HOSTNAME") ??
        (mode === "development" ? mode : undefined),
    },
    machines: readMachines(from),
    bus: readBus(from),
    logLevel: from.oneOf("LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
  };
  from.throwIfFaulty();
  return Object.freeze(config);
}
