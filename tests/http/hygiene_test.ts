/** What every HTTP answer has, and what odd requests are answered with. Bodies: bodies_test.ts. Origins: cors_test.ts. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { commands } from "../../src/protocol/commands.ts";
import { fileRoutes } from "../../src/protocol/file_commands.ts";
import { type Json, readAnswer, startDoors, type TestDoors } from "../helpers/doors.ts";
import { rawRequest } from "../suites/raw_http.ts";

const ID = "01890a5d-ac96-774b-bcce-b302099a8057";

/** The answer to a request line that is sent as it is. */
async function ask(doors: TestDoors, line: string, headers = ""): Promise<Response> {
  const token = await doors.app.tokenFor("ada");
  const lines = `host: 127.0.0.1\r\nauthorization: Bearer ${token}\r\n${headers}`;
  return await rawRequest(doors.app.app.port, `${line} HTTP/1.1\r\n${lines}\r\n`);
}

async function told(response: Response): Promise<[status: number, code: string | undefined]> {
  const answer = await readAnswer(response);
  return [response.status, answer.error?.code];
}

Deno.test("every path of the command table answers other methods with 405 and names its own", async () => {
  await using doors = await startDoors();
  const methodsOf = new Map<string, Set<string>>();
  for (const { rest } of [...Object.values(commands), ...Object.values(fileRoutes)]) {
    if (rest !== undefined) {
      methodsOf.set(rest.path, (methodsOf.get(rest.path) ?? new Set()).add(rest.method));
    }
  }
  ok(methodsOf.size > 15);
  for (const [path, methods] of methodsOf) {
    const address = path.replace(":userId", "bob").replaceAll(/:\w+/g, ID);
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"]) {
      // PATCH /rooms/discover is a room whose id is none
      if (
        methods.has(method) || path === "/api/chat/rooms/discover" || path === "/api/chat/messages/search"
      ) continue;
      const response = await ask(doors, `${method} ${address}`, "content-length: 0\r\n");
      deepStrictEqual(
        [(response.headers.get("allow") ?? "").split(", ").sort()],
        [[...methods].sort()],
        `${method} ${path}`,
      );
      deepStrictEqual(await told(response), [405, "method_not_allowed"], `${method} ${path}`);
    }
  }
  const socket = await ask(doors, "POST /ws", "content-length: 0\r\n");
  strictEqual(socket.headers.get("allow"), "GET");
  deepStrictEqual(await told(socket), [405, "method_not_allowed"]);
});

Deno.test("addresses that only look like ours are not found", async () => {
  await using doors = await startDoors();
  const addresses = [
    ...[
      "//",
      "///",
      "/%",
      "/api",
      "/api/chat",
      "/api/chat/",
      "/api/chat/nothing",
      "/.env",
      "/ws/",
      "//ws",
      "/%77s",
    ],
    ...["//api/chat/rooms", "/api//chat/rooms", "/api/chat//rooms", "/api/chat/rooms/", "/api/chat/rooms//"],
    ...[
      "/API/chat/rooms",
      "/api/chat/Rooms",
      "/api/chat/rooms;a=b",
      "/api/chat/rooms%20",
      "/api/chat/rooms%00",
    ],
    ...[
      "/api/chat%2Frooms",
      "/api%2Fchat%2Frooms",
      "/api/chat/rooms%2Fdiscover",
      "/api/chat/./rooms",
      "/api/chat/x/../rooms",
    ],
    ...[
      "/api/chat/%2e%2e/rooms",
      "/api/chat/rooms/..%2f..%2fhealthz",
      `/api/chat/rooms/${ID}/messages/`,
      "/healthz/x",
    ],
  ];
  for (const address of addresses) {
    const wanted = address.includes("..%2f") ? [400, "invalid_request"] : [404, "not_found"];
    deepStrictEqual(await told(await ask(doors, `GET ${address}`)), wanted, address);
  }
  // of one that is not signed in, nothing more can be learnt
  for (
    const address of ["/api/chat/rooms", `/api/chat/rooms/${ID}`, "/api/chat/rooms/x", "/api/chat/blocks"]
  ) {
    const response = await fetch(doors.app.url + address);
    strictEqual(response.headers.get("www-authenticate"), "Bearer");
    deepStrictEqual(await told(response), [401, "unauthenticated"], address);
  }
});

Deno.test("ids in paths are decoded once, and what they decode to is checked", async () => {
  await using doors = await startDoors();
  const ada = await doors.rest.as("ada");
  for (const userId of ["a/b", "a%2Fb", "a?b#c", "a b+c", "ü🕊", "..a", "a;b=c", "%zz"]) {
    await (await doors.rest.as(userId)).call("list_blocked");
    await ada.call("block_user", { userId });
    deepStrictEqual((await ada.call("list_blocked")).users.map(({ id }: Json) => id), [userId]);
    await ada.call("unblock_user", { userId });
  }
  for (
    const address of [
      "/api/chat/rooms/%00",
      "/api/chat/rooms/%zz",
      `/api/chat/rooms/${ID}%0a`,
      `/api/chat/rooms/%20${ID}`,
    ]
  ) {
    deepStrictEqual(await told(await ask(doors, `GET ${address}`)), [400, "invalid_request"], address);
  }
  deepStrictEqual(await told(await ask(doors, "GET /api/chat/direct-messages/%00")), [
    400,
    "invalid_request",
  ]);
});

Deno.test("queries are strict: once each, known names, numbers in digits", async () => {
  await using doors = await startDoors();
  for (
    const query of [
      "limit=1&limit=2",
      "limit=",
      "limit=1e1",
      "limit=0x1",
      "limit=1.0",
      "limit=%zz",
      "limit=101",
      "limit=0",
      "a",
      "%00=1",
      "__proto__=1",
    ]
  ) {
    const response = await ask(doors, `GET /api/chat/rooms?${query}`);
    deepStrictEqual(await told(response), [400, "invalid_request"], query);
  }
  for (const query of ["", "&", "limit=1", "limit=001", "&limit=100&"]) {
    deepStrictEqual(await told(await ask(doors, `GET /api/chat/rooms?${query}`)), [200, undefined], query);
  }
  const posted = await ask(doors, "POST /api/chat/rooms?name=a", "content-length: 0\r\n");
  deepStrictEqual(await told(posted), [400, "invalid_request"]);
});

Deno.test("requests with an odd Host, target or version are answered, and none is our fault", async () => {
  await using doors = await startDoors();
  const { port } = doors.app.app;
  for (const host of ["a b", "[::1", "a:99999", "%", "a/b?c#d", "\u00e4", "<script>", "@"]) {
    const response = await rawRequest(port, `GET /api/chat/rooms HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    ok([400, 401, 404].includes(response.status), `${host}: ${response.status}`);
    await response.body?.cancel();
  }
  for (
    const head of [
      "GET /api/chat/rooms HTTP/1.0\r\n",
      "GET /api/chat/rooms HTTP/1.1\r\n",
      "GET /api/chat/rooms HTTP/1.1\r\nhost: \r\n",
    ]
  ) {
    deepStrictEqual(await told(await rawRequest(port, `${head}\r\n`)), [401, "unauthenticated"], head);
  }
  deepStrictEqual(await told(await ask(doors, "GET http://evil.test/api/chat/rooms")), [200, undefined]);
  for (
    const head of [
      "GET * HTTP/1.1\r\nhost: a",
      "GET /api/chat/rooms HTTP/1.1\r\nhost: a\r\nhost: b",
      "nonsense",
    ]
  ) {
    const response = await rawRequest(port, `${head}\r\n\r\n`);
    strictEqual(response.status, 400, head);
    await response.body?.cancel();
  }
});

Deno.test("HEAD is GET without its body, and OPTIONS asks nothing of us", async () => {
  await using doors = await startDoors();
  const [head, get] = [
    await ask(doors, "HEAD /api/chat/rooms", "connection: close\r\n"),
    await ask(doors, "GET /api/chat/rooms"),
  ];
  deepStrictEqual([head.status, await head.text()], [200, ""]);
  for (
    const name of ["content-type", "cache-control", "x-content-type-options", "referrer-policy", "x-region"]
  ) {
    strictEqual(head.headers.get(name), get.headers.get(name), name);
  }
  await get.body?.cancel();
  for (const address of ["/api/chat/rooms", "/nowhere", "*"]) {
    const options = await ask(doors, `OPTIONS ${address}`);
    strictEqual(options.status, 204, address);
    strictEqual(options.headers.get("cache-control"), "no-store");
  }
});

Deno.test("health and documents need no token, and all answers carry the same headers", async () => {
  await using doors = await startDoors();
  for (const [path, body] of [["/healthz", { status: "ok" }], ["/readyz", { status: "ready" }]] as const) {
    const response = await fetch(doors.app.url + path);
    deepStrictEqual(await readAnswer(response), body);
  }
  for (const path of ["/api/chat/openapi.json", "/api/chat/asyncapi.json", "/api/chat/docs"]) {
    const response = await fetch(doors.app.url + path);
    strictEqual(response.status, 200, path);
    strictEqual(response.headers.get("x-content-type-options"), "nosniff");
    match(response.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
    strictEqual(response.headers.get("referrer-policy"), "no-referrer");
    await response.body?.cancel();
  }
  const ids = await Promise.all([1, 2, 3].map(async () => {
    const response = await fetch(`${doors.app.url}/healthz`, { headers: { "x-request-id": "mine" } });
    await response.body?.cancel();
    return response.headers.get("x-request-id");
  }));
  strictEqual(new Set([...ids, "mine"]).size, 4);
});
