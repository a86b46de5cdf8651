/** How a native socket signs in, from where, and what becomes of it when its token ends. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { closeCodes } from "../../src/protocol/close_codes.ts";
import { SUBPROTOCOL, SUBPROTOCOL_BATCH } from "../../src/protocol/limits.ts";
import { codeOf, type Json, startDoors, type TestDoors } from "../helpers/doors.ts";
import { connectSocket, TestSocket } from "../helpers/test_socket.ts";
import { rawUpgrade } from "../suites/raw_http.ts";

async function connectWith(doors: TestDoors, headers: Record<string, string>): Promise<TestSocket> {
  const socket = new TestSocket(new WebSocket(`${doors.app.url.replace("http", "ws")}/ws`, { headers }));
  await socket.until(() => socket.socket.readyState !== WebSocket.CONNECTING, "open");
  return socket;
}

Deno.test("NativeDoor takes a token by header, by subprotocol and by a first command", async () => {
  await using doors = await startDoors();
  const token = await doors.app.tokenFor("ada");
  const expiresAt = new Date(JSON.parse(atob(token.split(".")[1] ?? "")).exp * 1_000).toISOString();
  const url = doors.app.url;
  const sockets = {
    header: await connectWith(doors, { authorization: `Bearer ${token}` }),
    subprotocol: await connectSocket(url, token),
    batch: await connectSocket(url, token, SUBPROTOCOL_BATCH),
    command: await connectSocket(url, undefined),
  };
  deepStrictEqual(await sockets.command.call("authenticate", { token }), { userId: "ada", expiresAt });
  const ids = new Set<string>();
  for (const [way, socket] of Object.entries(sockets)) {
    const hello = await socket.next("hello");
    strictEqual(socket.pushes[0]?.event, "hello", way);
    deepStrictEqual([hello.userId, hello.expiresAt, hello.inbox.epoch], ["ada", expiresAt, hello.epoch], way);
    ids.add(hello.connectionId);
    deepStrictEqual((await socket.call("list_rooms")).rooms, [], way);
  }
  strictEqual(ids.size, 4);
  // never the subprotocol that holds the token
  deepStrictEqual(Object.values(sockets).map(({ socket }) => socket.protocol), [
    "",
    SUBPROTOCOL,
    SUBPROTOCOL_BATCH,
    SUBPROTOCOL,
  ]);
  for (const socket of Object.values(sockets)) await socket.close();
});

Deno.test("NativeDoor refuses a bad token or protocol before the upgrade, in the shape of REST's errors", async () => {
  await using doors = await startDoors();
  const { port } = doors.app.app;
  const token = await doors.app.tokenFor("ada");
  const old = await doors.app.tokenFor("ada", { expiresInSeconds: -60 });
  const cases: [Record<string, string>, number, string | undefined][] = [
    [{ authorization: `Bearer ${token}` }, 101, undefined],
    [{ "sec-websocket-protocol": `${SUBPROTOCOL}, bearer.${token}` }, 101, undefined],
    [{ "sec-websocket-protocol": `other, ${SUBPROTOCOL}` }, 101, undefined],
    [{ "sec-websocket-protocol": `${SUBPROTOCOL},bearer.${token}` }, 101, undefined], // as the `ws` of Node
    [{ "sec-websocket-protocol": `bearer.${token} ,\t${SUBPROTOCOL}` }, 101, undefined],
    [{ authorization: `Bearer x` }, 401, "unauthenticated"],
    [{ authorization: `Bearer ${old}` }, 401, "token_expired"],
    [{ "sec-websocket-protocol": `${SUBPROTOCOL}, bearer.x` }, 401, "unauthenticated"],
    [{ "sec-websocket-protocol": `bearer.${token}` }, 400, "invalid_request"],
    [{ "sec-websocket-protocol": "scroll-chat.v9" }, 400, "invalid_request"],
    [{ "upgrade": "" }, 426, "upgrade_required"],
    [{ "upgrade": "h2c" }, 426, "upgrade_required"],
    [{ "sec-websocket-key": "" }, 400, "invalid_request"],
  ];
  for (const [headers, status, code] of cases) {
    const answer = await rawUpgrade(port, headers);
    deepStrictEqual([answer.status, answer.code], [status, code], JSON.stringify(headers));
  }
});

Deno.test("NativeDoor upgrades pages of the origins that are allowed, and no others", async () => {
  await using doors = await startDoors({
    env: {
      CORS_ORIGIN: "https://app.scroll.test,http://localhost:5173",
      PUBLIC_URL: "https://chat.scroll.test/base",
    },
  });
  const { port } = doors.app.app;
  for (const origin of ["https://app.scroll.test", "http://localhost:5173", "https://chat.scroll.test"]) {
    strictEqual((await rawUpgrade(port, { origin })).status, 101, origin);
    await (await connectWith(doors, { origin, authorization: `Bearer ${await doors.app.tokenFor("ada")}` }))
      .close();
  }
  const others = [
    "https://evil.test",
    "http://app.scroll.test",
    "https://app.scroll.test.evil.test",
    "https://app.scroll.test:444",
  ];
  for (
    const origin of [...others, "null", "https://xapp.scroll.test", "file://", "*", "http://localhost:51730"]
  ) {
    const { status, code } = await rawUpgrade(port, {
      origin,
      authorization: `Bearer ${await doors.app.tokenFor("ada")}`,
    });
    deepStrictEqual([status, code], [403, "origin_not_allowed"], origin);
  }
});

Deno.test("a socket that does not sign in within 5 seconds is closed with 4401, whatever else it says", async () => {
  await using doors = await startDoors();
  const silent = await doors.socket.enter(undefined);
  const talking = await doors.socket.enter(undefined) as typeof silent;
  strictEqual(await codeOf(talking.call("list_rooms")), "unauthenticated");
  strictEqual(await codeOf(talking.call("authenticate", {})), "unauthenticated");
  strictEqual(await codeOf(talking.call("no such command")), "unauthenticated");
  const started = performance.now();
  for (const { socket } of [silent, talking] as Json[]) {
    await socket.until(() => socket.closed !== undefined, "the close", 8_000);
    strictEqual(socket.closed.code, closeCodes.token.code);
    deepStrictEqual(socket.events("hello"), []);
  }
  ok(performance.now() - started > 3_000);
});

Deno.test("a bad token as first command is told, and ends the socket with 4401", async () => {
  await using doors = await startDoors();
  const socket = await connectSocket(doors.app.url, undefined);
  socket.emit("authenticate", { token: await doors.app.tokenFor("ada", { expiresInSeconds: -60 }) });
  const { code, command } = await socket.next("error");
  deepStrictEqual([code, command], ["token_expired", "authenticate"]);
  strictEqual((await socket.untilClosed()).code, 4401);
});

Deno.test("commands sent with the first authenticate, before its answer, are worked off after it", async () => {
  await using doors = await startDoors();
  const socket = await connectSocket(doors.app.url, undefined);
  const token = await doors.app.tokenFor("ada");
  const answers = await Promise.all([
    socket.call("authenticate", { token }),
    socket.call("create_room", { name: "early" }),
    socket.call("list_rooms"),
  ]);
  deepStrictEqual([answers[0].userId, answers[1].room.name, answers[2].rooms.length], ["ada", "early", 1]);
  await socket.close();
});

Deno.test("a socket is warned before its token ends, closed with 4401 when it does, and goes on with a fresh one", async () => {
  await using doors = await startDoors();
  const claims = { expiresInSeconds: 2 };
  const [renewed, stale, kept] = [
    await doors.socket.ear("ada", claims),
    await doors.socket.ear("ada", claims),
    await doors.socket.ear("ada", claims),
  ];
  const { room } = await renewed.call("create_room", { name: "to stay" });
  await renewed.call("join_room", { roomId: room.id });
  const { expiresAt } = await renewed.next("token_expiring");
  strictEqual(expiresAt, (await renewed.next("hello")).expiresAt);

  const fresh = await renewed.call("authenticate", {
    token: await doors.app.tokenFor("ada", { expiresInSeconds: 3_600 }),
  });
  strictEqual(fresh.userId, "ada");
  ok(Date.parse(fresh.expiresAt) - Date.parse(expiresAt) > 3_000_000);
  // what does not work changes nothing
  strictEqual(
    await codeOf(kept.call("authenticate", { token: await doors.app.tokenFor("eve") })),
    "forbidden",
  );
  strictEqual(await codeOf(kept.call("authenticate", { token: "x" })), "unauthenticated");
  const expired = await doors.app.tokenFor("ada", { expiresInSeconds: -60 });
  strictEqual(await codeOf(kept.call("authenticate", { token: expired })), "token_expired");
  deepStrictEqual((await kept.call("list_rooms")).rooms.length, 1);

  for (const ear of [stale, kept]) {
    deepStrictEqual(await ear.socket.untilClosed(), { code: 4401, reason: "token" });
    ok(Date.now() >= Date.parse(expiresAt));
  }
  // the same connection, still hearing
  const { message } = await renewed.call("send_message", { roomId: room.id, content: "still here" });
  deepStrictEqual((await renewed.next("message_received")).message, message);
  strictEqual(renewed.events("hello").length, 1);
});

Deno.test("a fresh token's name and role count from then on", async () => {
  await using doors = await startDoors();
  const ear = await doors.socket.ear("ada", { name: "Ada", issuedAt: 1_000 });
  const ask = { name: "greek", type: "COURSE", courseId: "greek" };
  strictEqual(await codeOf(ear.call("create_room", ask)), "forbidden");
  const claims = { name: "Prof. Ada", role: "teacher", courses: ["greek"], issuedAt: 2_000 };
  await ear.call("authenticate", { token: await doors.app.tokenFor("ada", claims) });
  const { room } = await ear.call("create_room", ask);
  const { members } = await ear.call("list_members", { roomId: room.id });
  strictEqual(members[0].name, "Prof. Ada");
});
