/** A real node in this process, on a free port, with a database of its own; and clients that talk to it. */
import { SignJWT } from "jose";
import { type App, startApp } from "../../src/app.ts";
import { type Config, readConfig } from "../../src/config.ts";
import type { Bus } from "../../src/bus/bus.ts";
import type { PresenceLeases } from "../../src/bus/presence_leases.ts";
import { createLog, type Log } from "../../src/log.ts";
import { createTestDatabase, type TestDatabase } from "./databases.ts";
import { RestClient } from "./rest_client.ts";
import { connectSocket, type TestSocket } from "./test_socket.ts";

export const JWT_SECRET = "a secret of tests that has more than 32 bytes";

export interface TestClaims {
  name?: string;
  role?: string;
  courses?: string[];
  expiresInSeconds?: number;
  issuedAt?: number;
}

export interface TestAppOptions {
  env?: Record<string, string>;
  /** Another node on the same database. */
  database?: TestDatabase;
  bus?: Bus;
  leases?: PresenceLeases;
  /** Hears every line of the log. */
  onLog?: (line: string) => void;
}

export class TestApp implements AsyncDisposable {
  readonly app: App;
  readonly config: Config;
  readonly database: TestDatabase;
  readonly url: string;
  readonly #ownsDatabase: boolean;
  readonly #sockets = new Set<TestSocket>();

  constructor(app: App, config: Config, database: TestDatabase, ownsDatabase: boolean) {
    this.app = app;
    this.config = config;
    this.database = database;
    this.#ownsDatabase = ownsDatabase;
    this.url = `http://127.0.0.1:${app.port}`;
  }

  tokenFor(sub: string, claims: TestClaims = {}): Promise<string> {
    return signToken(sub, claims);
  }

  async rest(sub: string, claims?: TestClaims): Promise<RestClient> {
    return new RestClient(this.url, await this.tokenFor(sub, claims));
  }

  async connect(sub: string, claims?: TestClaims): Promise<TestSocket> {
    const socket = await connectSocket(this.url, await this.tokenFor(sub, claims));
    this.#sockets.add(socket);
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#sockets].map((socket) => socket.close()));
    await this.app[Symbol.asyncDispose]();
    if (this.#ownsDatabase) await this.database[Symbol.asyncDispose]();
  }
}

export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const database = options.database ?? await createTestDatabase();
  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    DATABASE_POOL_SIZE: "4",
    DATABASE_APPEND_LANES: "2",
    JWT_SECRET,
    PORT: "0",
    HOST: "127.0.0.1",
    CHAT_SWEEP_INTERVAL: "200",
    CHAT_GAP_HOLD: "30",
    LOG_LEVEL: "debug",
    CHAT_RATE_COMMANDS: "0",
    CHAT_RATE_CHANGES: "0",
    CHAT_MESSAGE_RETENTION_DAYS: "0", // its timer would come in at any moment; tests call it themselves
    CHAT_PRESENCE_GRACE: "150",
    CHAT_OVERLOAD_LAG: "0", // clients of a test share its event loop
    ...options.env,
  };
  const config = readConfig("development", {}, (name) => env[name]);
  const log: Log = createLog(config.logLevel, options.onLog ?? (() => {}));
  const app = await startApp(config, {
    log,
    ...(options.bus === undefined ? {} : { bus: options.bus }),
    ...(options.leases === undefined ? {} : { leases: options.leases }),
  });
  return new TestApp(app, config, database, options.database === undefined);
}

export async function signToken(
  sub: string,
  claims: TestClaims = {},
  secret: string = JWT_SECRET,
): Promise<string> {
  const { expiresInSeconds = 3_600, issuedAt, ...rest } = claims;
  const now = Math.floor(Date.now() / 1000);
  return await new SignJWT({ name: sub, ...rest }).setProtectedHeader({ alg: "HS256" }).setSubject(sub)
    .setIssuedAt(issuedAt ?? now).setExpirationTime(now + expiresInSeconds).sign(
      new TextEncoder().encode(secret),
    );
}
