/**
 * The echo that conformance suites are pointed at: `PORT=3000 deno task socketio:echo`. The protocol code of
 * src/socketio with nothing of chat: /engine.io/ sends every message back, /socket.io/ answers two events.
 */
import { newConnectionId } from "../../src/protocol/ids.ts";
import { WorkQueue } from "../../src/chat/work_queue.ts";
import { createLog } from "../../src/log.ts";
import { Engine } from "../../src/socketio/engine/engine.ts";
import { Client, type ClientOptions } from "../../src/socketio/protocol/client.ts";
import { callerOf } from "../../src/sockets/caller.ts";
import { SocketWarden } from "../../src/sockets/socket_warden.ts";
import { Tarpit } from "../../src/sockets/tarpit.ts";

const port = Number(Deno.env.get("PORT") ?? 3000);
const log = createLog("warn");
const maxFrameBytes = 1_000_000;
const common = {
  ...{ log, maxFrameBytes, pingIntervalMs: 300, pingTimeoutMs: 200, origins: "*", sidPrefix: "" } as const,
  work: new WorkQueue(0),
  warden: new SocketWarden({ port: () => port, maxFrameBytes, log }),
  tarpit: new Tarpit(),
};

const raw = new Engine({
  ...common,
  accept: (session) => ({ received: (data, done) => (session.send(data), done()), ended: () => {} }),
});

const connect: ClientOptions["connect"] = (socket, auth) =>
  ["/", "/custom"].includes(socket.namespace)
    ? Promise.resolve({
      id: newConnectionId(),
      greet: () => socket.emit("auth", [auth]),
      listener: {
        received: ({ name, args, id }, done) => {
          if (name === "message") socket.emit("message-back", args);
          if (name === "message-with-ack" && id !== undefined) socket.acknowledge(id, args);
          done();
        },
        ended: () => {},
      },
    })
    : undefined;
const clients = { connect, connectWithinMs: 1_000, maxFrameBytes, log, ended: () => {} };
const socketIo = new Engine({ ...common, accept: (session) => new Client(session, clients) });

Deno.serve({ port, onListen: ({ port }) => log.warn("echo.listening", { port }) }, (request, info) => {
  const caller = callerOf(request, info.remoteAddr, undefined);
  common.warden.greeted(caller.peer);
  const { pathname } = new URL(request.url);
  if (pathname === "/engine.io/") return raw.handle(request, caller);
  if (pathname === "/socket.io/") return socketIo.handle(request, caller);
  return new Response("Not found", { status: 404 });
});
