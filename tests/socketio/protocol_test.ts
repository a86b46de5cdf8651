/** The protocol layer by itself, with the published client at the other end; and the offset that its chat door keeps. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { WorkQueue } from "../../src/chat/work_queue.ts";
import { createLog } from "../../src/log.ts";
import { Engine } from "../../src/socketio/engine/engine.ts";
import { Offset, OFFSET_ROOMS_MAX, parseOffset } from "../../src/socketio/offset.ts";
import { Client, type ClientOptions, ConnectRefused } from "../../src/socketio/protocol/client.ts";
import type { ClientSocket } from "../../src/socketio/protocol/client_socket.ts";
import { callerOf } from "../../src/sockets/caller.ts";
import { SocketWarden } from "../../src/sockets/socket_warden.ts";
import { Tarpit } from "../../src/sockets/tarpit.ts";
import { openSocketIo } from "../helpers/socketio_client.ts";

type Connect = (socket: ClientSocket, auth: Record<string, unknown>) => void;

/** A server whose application is this; it listens to nothing. */
function serve(onConnect: Connect): AsyncDisposable & { url: string } {
  const lines: string[] = [];
  const log = createLog("warn", (line) => lines.push(line));
  const work = new WorkQueue(0);
  const maxFrameBytes = 100_000;
  const warden = new SocketWarden({ port: () => server.addr.port, maxFrameBytes, log });
  const connect: ClientOptions["connect"] = async (socket, auth) => {
    await Promise.resolve();
    const listener = { received: (_: unknown, done: () => void) => done(), ended: () => {} };
    if (auth["secret"] !== "open") throw new ConnectRefused("no", { why: "secret" });
    return { id: "id", listener, greet: () => onConnect(socket, auth) };
  };
  const engine: Engine = new Engine({
    ...{ work, warden, maxFrameBytes, log, pingIntervalMs: 25_000, pingTimeoutMs: 20_000 },
    ...{ origins: "*", sidPrefix: "", tarpit: new Tarpit() },
    accept: (session) =>
      new Client(session, { connect, connectWithinMs: 5_000, maxFrameBytes, log, ended: () => {} }),
  });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request, info) => engine.handle(request, callerOf(request, info.remoteAddr, undefined)),
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: async () => {
      engine.end();
      await engine.emptied();
      await server.shutdown();
      work[Symbol.dispose]();
      warden[Symbol.dispose]();
      await new Promise((resolve) => setTimeout(resolve, 50)); // the client's XMLHttpRequest tells itself by timers
      deepStrictEqual(lines, []);
    },
  };
}

Deno.test("ClientSocket.emit() hears what the client acknowledges, bytes too, each once", async () => {
  for (const transports of [["websocket"], ["polling"]]) {
    const heard: unknown[][] = [];
    const done = Promise.withResolvers<void>();
    await using server = serve((socket) => {
      for (const n of [1, 2, 3]) {
        socket.emit("sum", [n, Uint8Array.of(n)], (...args) => {
          heard.push(args);
          if (heard.length === 3) done.resolve();
        });
      }
    });
    const client = openSocketIo(server.url, undefined, { transports, auth: { secret: "open" } });
    client.socket.on("sum", (n, bytes, answer) => {
      answer(n + bytes[0], bytes);
      answer("twice");
    });
    await done.promise;
    deepStrictEqual(
      heard.map(([sum, bytes]) => [sum, ...(bytes as Uint8Array)]),
      [[2, 1], [4, 2], [6, 3]],
    );
    await client.close();
  }
});

Deno.test("Client refuses with the application's words and data", async () => {
  await using server = serve(() => {});
  const client = openSocketIo(server.url, undefined, { auth: { secret: "wrong" } });
  const fault = await new Promise<Error & { data?: unknown }>((resolve) =>
    client.socket.once("connect_error", resolve)
  );
  deepStrictEqual([fault.message, fault.data], ["no", { why: "secret" }]);
  await client.close();
});

const seq = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const roomId = fc.uuid().map((id) => id as `${string}-${string}-${string}-${string}-${string}`);

Deno.test("parseOffset() reads what Offset writes, up to its rooms, and nothing else makes it fail", () => {
  const rooms = fc.uniqueArray(fc.tuple(roomId, seq), { maxLength: 40, selector: ([id]) => id });
  fc.assert(fc.property(fc.uuid(), seq, rooms, (epoch, inbox, told) => {
    const offset = new Offset(epoch);
    offset.told("inbox:ada", inbox);
    for (const [id] of told) offset.told(`room:${id}`, 0);
    for (const [id, at] of told) offset.told(`room:${id}`, at);
    const expected = told.length > OFFSET_ROOMS_MAX ? undefined : { epoch, inbox, rooms: new Map(told) };
    deepStrictEqual(parseOffset(offset.toString()), expected);
    for (const [id] of told.slice(0, 3)) offset.forget(`room:${id}`);
    strictEqual(offset.hears(`room:${told[0]?.[0]}`), false);
  }));
  fc.assert(fc.property(fc.anything(), (value) => parseOffset(value) === undefined));
  fc.assert(fc.property(fc.string(), fc.uuid(), (text, epoch) => {
    parseOffset(`${epoch},0,${text}`);
  }));
});
