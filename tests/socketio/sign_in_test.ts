/** Who may connect at the Socket.IO door, what the others are told, and what their client does then. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { codeOf, refusalOf, startDoors } from "../helpers/doors.ts";
import { connectSocketIo, openSocketIo, type SocketIoSocket } from "../helpers/socketio_client.ts";
import { address, ask } from "./conformance/polling.ts";

const TRANSPORTS = [["websocket"], ["polling"]];

/** Refused by name: the client gives up until it is told to try again. */
async function refusedOf(socket: SocketIoSocket): Promise<unknown> {
  try {
    const { body } = await refusalOf(socket.untilConnected());
    strictEqual(socket.socket.active, false);
    return body;
  } finally {
    await socket.close();
  }
}

Deno.test("a bad token is a connect_error with our error in its data", async () => {
  await using doors = await startDoors();
  const { url } = doors.app;
  for (const transports of TRANSPORTS) {
    const open = (token: string | undefined, options = {}) =>
      refusedOf(openSocketIo(url, token, { transports, ...options })) as Promise<{ code: string }>;
    const { code, ...rest } = await open("not a token");
    strictEqual(code, "unauthenticated");
    deepStrictEqual(Object.keys(rest).sort(), ["message", "requestId", "retryable"]);
    strictEqual((await open(undefined)).code, "unauthenticated");
    const old = await doors.app.tokenFor("ada", { expiresInSeconds: -3_600 });
    strictEqual((await open(old)).code, "token_expired");
    strictEqual((await open(undefined, { auth: { token: { toString: "x" } } })).code, "unauthenticated");
  }
});

Deno.test("other namespaces than the main one are refused, and the main one is none the worse", async () => {
  await using doors = await startDoors();
  const socket = await connectSocketIo(doors.app.url, await doors.app.tokenFor("ada"));
  const other = socket.socket.io.socket("/admin");
  const fault = await new Promise<Error>((resolve) => other.once("connect_error", resolve));
  strictEqual(fault.message, "Invalid namespace");
  await socket.call("list_rooms");
  await socket.close();
});

Deno.test("volatile, uncompressed and timed events are commands like others; bytes and more arguments are refused", async () => {
  await using doors = await startDoors();
  for (const transports of TRANSPORTS) {
    const ear = await connectSocketIo(doors.app.url, await doors.app.tokenFor("ada"), { transports });
    const { socket } = ear;
    const { room } = await ear.call("create_room", { name: "a room" });
    await ear.call("join_room", { roomId: room.id });
    socket.compress(false).emit("send_message", { roomId: room.id, content: "uncompressed" });
    const answer = await socket.timeout(5_000).emitWithAck("send_message", {
      roomId: room.id,
      content: "timed",
    });
    strictEqual(answer.message.content, "timed");
    while (!ear.events("message_received").some(({ message }) => message.content === "volatile")) {
      socket.volatile.emit("send_message", { roomId: room.id, content: "volatile" }); // may be lost
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const bytes = new Uint8Array(3);
    for (const args of [[bytes], [{ roomId: room.id, content: bytes }], [{}, "more"]]) {
      const { error } = await socket.emitWithAck("send_message", ...args);
      strictEqual(error.code, "invalid_request");
      socket.emit("send_message", ...args);
    }
    await ear.until(() => ear.events("error").length === 3, "three errors");
    await ear.close();
  }
});

Deno.test("a token that ends is renewed in place, or the client comes back with a fresh one and has missed nothing", async () => {
  await using doors = await startDoors();
  const { url } = doors.app;
  const owner = await doors.rest.as("owner");
  const { room } = await owner.call("create_room", { name: "a room" });
  const say = (content: string) => owner.call("send_message", { roomId: room.id, content });
  const short = { expiresInSeconds: 2 };
  const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 50 };
  const stale = openSocketIo(url, await doors.app.tokenFor("stale", short), options);
  const renewing = openSocketIo(url, await doors.app.tokenFor("renewing", short));
  let tokens = [await doors.app.tokenFor("fresh", short), await doors.app.tokenFor("fresh")];
  const fresh = openSocketIo(url, undefined, {
    ...options,
    auth: (give) => give({ token: tokens[0] }),
  });
  for (const socket of [stale, renewing, fresh]) {
    await socket.untilConnected();
    await socket.call("join_room", { roomId: room.id });
  }
  await renewing.next("token_expiring");
  await renewing.call("authenticate", { token: await doors.app.tokenFor("renewing") });
  strictEqual(await codeOf(renewing.call("authenticate", { token: tokens[1] })), "forbidden");
  tokens = tokens.slice(1);
  const refused = new Promise<Error & { data?: { code: string } }>((resolve) =>
    stale.socket.once("connect_error", resolve)
  );
  const back = new Promise<void>((resolve) => fresh.socket.once("connect", resolve));
  await say("about then");
  strictEqual((await refused).data?.code, "token_expired");
  await back;
  strictEqual(fresh.socket.recovered, true);
  await say("later");
  for (const socket of [renewing, fresh]) {
    await socket.until(() => socket.events("message_received").length === 2, "both");
  }
  strictEqual(renewing.closed, undefined);
  for (const socket of [stale, renewing, fresh]) await socket.close();
});

Deno.test("a user's sockets are counted at every door together", async () => {
  await using doors = await startDoors({ env: { SOCKET_MAX_PER_USER: "2" } });
  const token = await doors.app.tokenFor("ada");
  await doors.socket.ear("ada");
  const first = await connectSocketIo(doors.app.url, token);
  strictEqual(await codeOf(connectSocketIo(doors.app.url, token)), "rate_limited");
  await first.close();
  const second = await connectSocketIo(doors.app.url, token);
  await second.close();
});

Deno.test("pages of other origins are refused before there is a session; those of CORS_ORIGIN are let in, after a preflight", async () => {
  await using doors = await startDoors({ env: { CORS_ORIGIN: "https://school.example" } });
  const base = `${doors.app.url}/socket.io/`;
  const headersOf = (origin: string) => ({ origin, "access-control-request-headers": "x-own" });
  for (const transport of ["polling", "websocket"]) {
    const { status, text } = await ask(address(base, { transport }), {
      headers: headersOf("https://evil.example"),
    });
    deepStrictEqual([status, JSON.parse(text).message], [403, "Forbidden"]);
  }
  const opened = await ask(address(base, { transport: "polling" }), {
    headers: headersOf("https://school.example"),
  });
  strictEqual(opened.status, 200);
  const asked = await ask(base, { method: "OPTIONS", headers: headersOf("https://school.example") });
  strictEqual(asked.status, 204);
  for (const { headers } of [opened, asked]) {
    strictEqual(headers.get("access-control-allow-origin"), "https://school.example");
    strictEqual(headers.get("access-control-allow-credentials"), "true");
    ok(headers.get("vary")?.includes("origin"));
  }
  strictEqual(asked.headers.get("access-control-allow-headers"), "x-own");
  const evil = await ask(base, { method: "OPTIONS", headers: headersOf("https://evil.example") });
  deepStrictEqual([evil.status, evil.headers.get("access-control-allow-origin")], [403, null]);
});
