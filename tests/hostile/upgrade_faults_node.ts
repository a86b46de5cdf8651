/**
 * A process with nothing but the native door, in which one part fails as the request's `x-fault` says. It has no
 * handlers of last resort, so that whatever escapes ends it. Run by upgrade_faults_test.ts.
 */
import { Admission } from "../../src/chat/admission.ts";
import type { Actor } from "../../src/chat/actor.ts";
import { WorkQueue } from "../../src/chat/work_queue.ts";
import { Connection, type Outlet } from "../../src/delivery/connection.ts";
import { createLog, type Log } from "../../src/log.ts";
import { newConnectionId, type UserId } from "../../src/protocol/ids.ts";
import { toJson } from "../../src/protocol/json_text.ts";
import { callerOf } from "../../src/sockets/caller.ts";
import { NativeDoor, type NativeDoorOptions } from "../../src/ws/door.ts";
import type { FrameListener } from "../../src/sockets/framed_socket.ts";
import { NativeSocket } from "../../src/ws/socket.ts";
import { SocketWarden } from "../../src/sockets/socket_warden.ts";
import { Tarpit } from "../../src/sockets/tarpit.ts";

export class Planted extends Error {
  override readonly name = "Planted";
}

const log = createLog("info");
let port = 0;
const warden = new SocketWarden({ port: () => port, maxFrameBytes: 1_048_576, log });
const work = new WorkQueue(750);

/** Throws, whatever is done with it. */
const boom = (where: string) => (): never => {
  throw new Planted(where);
};
const reject = (where: string) => () => Promise.reject(new Planted(where));

const actor: Actor = {
  userId: "ada" as UserId,
  name: "Ada",
  avatarUrl: null,
  role: "student",
  courses: [],
  isAdmin: false,
  issuedAt: new Date(),
  expiresAt: new Date(Date.now() + 3_600_000),
};

function openConnection(outlet: Outlet, live: object = {}) {
  const connection = new Connection(newConnectionId(), actor.userId, outlet);
  connection.tellObject("hello", {});
  return Promise.resolve({ actor, connection, renew: () => Promise.resolve(actor), end: () => {}, ...live });
}

/** The parts as they should be; `over` replaces some. Their types are those of classes: a fake is a cast. */
function options(over: Record<string, unknown> = {}): NativeDoorOptions {
  const admission = new Admission({
    maxPerUser: 5,
    maxPerAddress: 1_000,
    maxUnauthenticated: 1_000,
    maxInAll: 1_000,
  });
  return {
    admission,
    tarpit: new Tarpit(),
    work,
    warden,
    log,
    maxFrameBytes: 1_048_576,
    mayConnectFrom: () => true,
    idleTimeoutS: 30,
    auth: () => Promise.resolve(actor),
    connections: { open: (_: Actor, outlet: Outlet) => openConnection(outlet) },
    commands: { run: () => Promise.resolve(toJson({})) },
    ...over,
  } as unknown as NativeDoorOptions;
}

/** All that a part offers works but for these. */
const but = <T extends object>(part: T, over: object): T =>
  new Proxy(part, {
    get: (target, name) => {
      if (Object.hasOwn(over, name)) return Reflect.get(over, name);
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
const getter = (where: string, name: string) => Object.defineProperty({}, name, { get: boom(where) });

const noLog: Log = { debug: boom("log"), info: boom("log"), warn: boom("log"), error: boom("log") };
const ticket = { signIn: () => {}, end: () => {} };
const watch = { say: () => {}, closing: () => {}, end: () => {} };
const opening = (live: object) => ({ open: (_: Actor, outlet: Outlet) => openConnection(outlet, live) });

const FAULTS: Record<string, Record<string, unknown>> = {
  "auth throws": { auth: boom("auth") },
  "auth rejects": { auth: reject("auth") },
  "auth rejects with undefined": { auth: () => Promise.reject(undefined) },
  "auth takes its time": { auth: () => new Promise((resolve) => setTimeout(() => resolve(actor), 400)) },
  "mayConnectFrom throws": { mayConnectFrom: boom("mayConnectFrom") },
  "admission throws": { admission: { admit: boom("admission") } },
  "the ticket's end throws": { admission: { admit: () => ({ ...ticket, end: boom("ticket.end") }) } },
  "the ticket's signIn throws": {
    admission: { admit: () => ({ ...ticket, signIn: boom("ticket.signIn") }) },
  },
  "tarpit.hold throws": { tarpit: { hold: boom("tarpit.hold") }, auth: reject("auth") },
  "work.overloaded throws": { work: but(work, getter("overloaded", "overloaded")) },
  "work.add throws": { work: but(work, { add: boom("work.add") }) },
  "work.drop throws": { work: but(work, { drop: boom("work.drop") }) },
  "warden.isCrowded throws": { warden: but(warden, getter("isCrowded", "isCrowded")) },
  "warden.watch throws": { warden: but(warden, { watch: boom("warden.watch") }) },
  "the watch's closing throws": {
    warden: but(warden, { watch: () => ({ ...watch, closing: boom("closing") }) }),
  },
  "the watch's end throws": { warden: but(warden, { watch: () => ({ ...watch, end: boom("watch.end") }) }) },
  "connections.open throws": { connections: { open: boom("open") } },
  "connections.open rejects": { connections: { open: reject("open") } },
  "commands.run throws": { commands: { run: boom("run") } },
  "commands.run rejects": { commands: { run: reject("run") } },
  "commands.run rejects with undefined": { commands: { run: () => Promise.reject(undefined) } },
  "commands.run answers what is no text": { commands: { run: () => Promise.resolve(Symbol("no text")) } },
  "the connection's end throws": { connections: opening({ end: boom("live.end") }) },
  "the log throws": { log: noLog },
  "auth and the log throw": { log: noLog, auth: boom("auth") },
  "commands.run and the log throw": { log: noLog, commands: { run: boom("run") } },
  "warden.watch and the log throw": { log: noLog, warden: but(warden, { watch: boom("warden.watch") }) },
};

const doors = new Map(Object.entries(FAULTS).map(([name, over]) => [name, new NativeDoor(options(over))]));
const healthy = new NativeDoor(options());

/** A listener each of whose handlers throws; on a socket of its own. */
const throwing: FrameListener = {
  opened: boom("opened"),
  received: boom("received"),
  receivedBinary: boom("receivedBinary"),
  ended: boom("ended"),
};

function upgradeThrowing(request: Request, peer: string, which: string): Response {
  const native = new NativeSocket(peer, false, { work, warden, maxFrameBytes: 1_048_576, log });
  native.listener = {
    opened: () => {},
    received: () => {},
    receivedBinary: () => {},
    ended: () => {},
    [which]: throwing[which as keyof FrameListener],
  };
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 30 });
  native.attach(socket);
  return response;
}

const server = Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => log.info("server.listening", { port, faults: Object.keys(FAULTS) }),
}, (request, info) => {
  const caller = callerOf(request, info.remoteAddr, undefined);
  warden.greeted(caller.peer);
  const fault = request.headers.get("x-fault") ?? "";
  const path = new URL(request.url).pathname;
  if (path === "/sockets") {
    return Response.json([...doors, ["", healthy] as const].map(([, door]) => door.count));
  }
  if (path === "/listener") return upgradeThrowing(request, caller.peer, fault);
  return (doors.get(fault) ?? healthy).upgrade(request, caller);
});
port = server.addr.port;
