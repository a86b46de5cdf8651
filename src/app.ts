/**
 * The app: the one place where parts are made and joined. What opened before a failure is closed again; what runs
 * is closed in the opposite order, after a drain that lets commands under way finish.
 */
import { makeChat } from "./app/chat_parts.ts";
import { serveMetrics } from "./app/metrics_server.ts";
import { makeDoors } from "./app/doors.ts";
import { openBus } from "./bus/open_bus.ts";
import type { PresenceLeases } from "./bus/presence_leases.ts";
import type { Bus } from "./bus/bus.ts";
import { createAuth } from "./chat/auth.ts";
import type { Connections } from "./chat/connections.ts";
import { createTokenMaker } from "./chat/dev_tokens.ts";
import { NodeWatch } from "./chat/node_watch.ts";
import { Retention } from "./chat/retention.ts";
import { WorkQueue } from "./chat/work_queue.ts";
import type { Config } from "./config.ts";
import type { FileCollector } from "./chat/file_collector.ts";
import { Hub } from "./delivery/hub.ts";
import { NearReads } from "./delivery/near_reads.ts";
import { StreamReader } from "./delivery/stream_reader.ts";
import { Sweep } from "./delivery/sweep.ts";
import { openFiles } from "./files/open_files.ts";
import { createHttpApp } from "./http/app.ts";
import { describeFault, type Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { ChatError } from "./protocol/errors.ts";
import { newNodeId, newRequestId } from "./protocol/ids.ts";
import { Appender } from "./store/appender.ts";
import { Database } from "./store/database.ts";
import { Replica } from "./store/replica.ts";
import { readEpoch, warmWrites } from "./store/rooms.ts";
import { callerOf } from "./sockets/caller.ts";
import { SocketWarden } from "./sockets/socket_warden.ts";

export const VERSION = "0.1.0";
/** For closing handshakes, and for answers that are on their way, at the very end. */
const CLOSE_MS = 3_000;
const SHUTDOWN_MS = 500;

export interface AppUses {
  log: Log;
  /** How many nobody caught in this process. */
  faults?: () => number;
  /** In place of the process's own: tests put two nodes on one. */
  bus?: Bus;
  leases?: PresenceLeases;
}

export interface App extends AsyncDisposable {
  readonly port: number;
  /** Of /metrics, if it is served. */
  readonly metricsPort: number | undefined;
  readonly retention: Retention;
  readonly appender: Appender;
  readonly hub: Hub;
  readonly connections: Connections;
  /** Undefined where there is no place for files. */
  readonly collector: FileCollector | undefined;
  /** Stops taking new work, lets what is under way finish, closes sockets with 1012. Idempotent. */
  drain(): Promise<void>;
}

/** Serves once it settles. Throws what the port or the database say. */
export async function startApp(config: Config, uses: AppUses): Promise<App> {
  const { log } = uses;
  await using parts = new AsyncDisposableStack();
  const nodeId = newNodeId();
  const db = parts.use(new Database(config.database, log));
  const { replicaUrl } = config.region;
  const replica = replicaUrl === undefined ? undefined : parts.use(
    new Replica({ config: { ...config.database, url: replicaUrl }, primary: db, log }),
  );
  const appender = new Appender(db, log);
  await Promise.all([appender.warm(), ...(config.region.isFar ? [warmWrites(db)] : [])]);
  const epoch = await readEpoch(db);
  const opened = parts.use(
    await openBus(uses.bus === undefined ? config.bus : { is: "memory" }, { nodeId, log }),
  );
  const { bus, leases } = { ...opened, ...uses };
  const hub = parts.use(
    new Hub({
      nodeId,
      bus,
      reader: new StreamReader(db),
      log,
      epoch,
      holdMs: config.delivery.holdMs,
      lingerMs: config.delivery.lingerMs,
    }),
  );
  parts.use(new Sweep(hub, bus, config.delivery.sweepMs));
  const retention = parts.use(new Retention({ db, hub, log, days: config.chat.retentionDays }));

  const auth = await createAuth(config.jwt);
  const store = config.files.store === undefined
    ? undefined
    : parts.use(await openFiles(config.files.store, log));
  const metrics = new Metrics();
  const chat = makeChat({
    config,
    metrics,
    db,
    near: new NearReads({ db, replica, hub }),
    appender,
    hub,
    bus,
    leases,
    store,
    auth,
    nodeId,
    log,
  }, parts);

  const { commands, connections, users, files, uploads, collector } = chat;

  let draining = false;
  let port = config.http.port;
  let isApart = (): string[] => [];
  const mayReadFrom = originRule(config);
  const work = parts.use(new WorkQueue(config.limits.overloadMs));
  const warden = parts.use(
    new SocketWarden({ port: () => port, maxFrameBytes: config.socket.maxFrameBytes, log }),
  );
  const { hostname, metricsPort } = config.http;
  const metricsServer = metricsPort === undefined
    ? undefined
    : parts.use(serveMetrics(metrics, { hostname, port: metricsPort }));
  const doors = makeDoors({ config, chat, work, warden, auth, mayConnectFrom: mayReadFrom, nodeId, log });
  metrics.watch({
    sockets: () => connections.count,
    uploads: () => uploads?.places.taken ?? 0,
    lagSeconds: () => work.lagMs / 1_000,
    residentBytes: () => Deno.memoryUsage().rss,
    refusalsWaiting: () => doors.refusalsWaiting,
    cuts: () => warden.cuts,
    processFaults: uses.faults ?? (() => 0),
  });
  const http = createHttpApp({
    commands,
    files,
    uploads,
    actorOf: async (token) => {
      const actor = await auth(token);
      await users.seen(actor);
      return actor;
    },
    maxBodyBytes: config.socket.maxFrameBytes,
    mayReadFrom,
    region: config.node.region,
    version: VERSION,
    publicUrl: config.http.publicUrl,
    readiness: async () => [
      ...(draining ? ["draining"] : []),
      ...isApart(),
      ...await readEpoch(db).then(() => [], () => ["the database does not answer"]),
    ],
    makeToken: config.mode === "development" ? createTokenMaker(config.jwt) : undefined,
    log,
  });

  const answerHttp = async (request: Request, peer: string): Promise<Response> => {
    const response = await http.fetch(request);
    if (response.status >= 400 && request.body !== null) warden.refusedBodyOf(peer);
    return response;
  };
  const refuse = (fault: ChatError): Response => {
    const response = fault.toResponse(newRequestId());
    response.headers.set("x-region", config.node.region);
    return response;
  };
  const answer = (
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.NetAddr>,
  ): Promise<Response> | Response => {
    const caller = callerOf(request, info.remoteAddr, config.limits.clientAddressHeader); // before an upgrade: afterwards it throws
    warden.greeted(caller.peer);
    if (!URL.canParse(request.url)) {
      return refuse(new ChatError("invalid_request", "Host: Expected a name"));
    }
    const { pathname } = new URL(request.url);
    const byDoor = doors.handle(pathname, request, caller);
    if (byDoor !== undefined) return byDoor; // nothing may touch an upgrade's response
    if (work.overloaded && pathname.startsWith("/api/")) {
      return refuse(new ChatError("busy"));
    }
    return answerHttp(request, caller.peer);
  };
  const server = Deno.serve({
    hostname: config.http.hostname,
    port: config.http.port,
    onListen: () => {},
    onError: (fault) => {
      const requestId = newRequestId();
      log.error("request.fault", { requestId, ...describeFault(fault) });
      return new ChatError("internal").toResponse(requestId);
    },
  }, answer);
  port = server.addr.port;
  parts.defer(() => atMost(server.shutdown(), SHUTDOWN_MS));
  const { region, machine } = config.node;
  const nodes = parts.use(
    new NodeWatch({
      ...{ db, log },
      node: {
        id: nodeId,
        region,
        bus: uses.bus === undefined ? bus.kind : "shared",
        machine: machine === undefined ? "" : `${machine}:${port}`,
      },
    }),
  );
  isApart = () => nodes.faults;
  const owned = parts.move();

  let drained: Promise<void> | undefined;
  const drain = async (): Promise<void> => {
    draining = true;
    doors.drain();
    void nodes.leave();
    await connections.drain(config.http.drainMs / 2);
    await atMost(commands.drain(), config.http.drainMs / 2);
    connections.closeAll();
    await atMost(doors.emptied(), CLOSE_MS);
    doors.end();
  };
  return {
    port: server.addr.port,
    metricsPort: metricsServer?.port,
    retention,
    appender,
    hub,
    connections,
    collector,
    drain: () => drained ??= drain(),
    [Symbol.asyncDispose]: async () => {
      await (drained ??= drain());
      await owned.disposeAsync();
    },
  };
}

async function atMost(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([work, new Promise((resolve) => timer = setTimeout(resolve, ms))]);
  clearTimeout(timer);
}

/** Whether a browser's page of this origin may talk to us: those of CORS_ORIGIN, and our own. */
function originRule(config: Config): (origin: string) => boolean {
  const own = config.http.publicUrl === undefined ? [] : [new URL(config.http.publicUrl).origin];
  const local = config.mode === "development"
    ? [`http://localhost:${config.http.port}`, `http://127.0.0.1:${config.http.port}`]
    : [];
  const allowed = new Set([...config.http.corsOrigins, ...own, ...local]);
  return (origin) => allowed.has("*") || allowed.has(origin);
}
