/** Which pages may read our answers: those of CORS_ORIGIN and our own, with a token that they bring themselves. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { startDoors, type TestDoors } from "../helpers/doors.ts";

const ENV = {
  CORS_ORIGIN: "https://app.scroll.test,http://localhost:5173",
  PUBLIC_URL: "https://chat.scroll.test/base",
};
const ALLOWED = ["https://app.scroll.test", "http://localhost:5173", "https://chat.scroll.test"];
const OTHERS = [
  "https://evil.test",
  "http://app.scroll.test",
  "https://app.scroll.test.evil.test",
  "null",
  "https://app.scroll.test:8443",
];

async function ask(
  doors: TestDoors,
  origin: string,
  init: RequestInit = {},
  path = "/api/chat/rooms",
): Promise<Response> {
  const response = await fetch(doors.app.url + path, { ...init, headers: { origin, ...init.headers } });
  await response.body?.cancel();
  return response;
}

Deno.test("a preflight names the methods and headers for origins that are allowed, and nothing for others", async () => {
  await using doors = await startDoors({ env: ENV });
  const preflight = {
    method: "OPTIONS",
    headers: {
      "access-control-request-method": "PATCH",
      "access-control-request-headers": "authorization,content-type",
    },
  };
  for (const origin of ALLOWED) {
    const { status, headers } = await ask(doors, origin, preflight);
    strictEqual(status, 204);
    strictEqual(headers.get("access-control-allow-origin"), origin);
    strictEqual(headers.get("access-control-allow-methods"), "GET,POST,PUT,PATCH,DELETE");
    strictEqual(
      headers.get("access-control-allow-headers"),
      "authorization,content-type,range,if-range,if-none-match",
    );
    strictEqual(headers.get("access-control-allow-credentials"), null);
  }
  for (const origin of OTHERS) {
    const { headers } = await ask(doors, origin, preflight);
    strictEqual(headers.get("access-control-allow-origin"), null, origin);
  }
});

Deno.test("answers and errors can be read from allowed origins, and vary by origin", async () => {
  await using doors = await startDoors({ env: ENV });
  const authorization = `Bearer ${await doors.app.tokenFor("ada")}`;
  const requests: [number, RequestInit, string?][] = [
    [200, { headers: { authorization } }],
    [401, {}],
    [404, { headers: { authorization } }, "/nowhere"],
    [405, { method: "DELETE", headers: { authorization } }],
    [415, { method: "POST", headers: { authorization }, body: "x" }],
  ];
  for (const [status, init, path] of requests) {
    for (const origin of [...ALLOWED, ...OTHERS]) {
      const response = await ask(doors, origin, init, path);
      deepStrictEqual(
        [response.status, response.headers.get("access-control-allow-origin"), response.headers.get("vary")],
        [status, ALLOWED.includes(origin) ? origin : null, "Origin"],
        `${status} ${origin}`,
      );
      const exposed = response.headers.get("access-control-expose-headers");
      strictEqual(
        exposed,
        "x-request-id,x-region,retry-after,accept-ranges,content-disposition,content-length,content-range,etag",
      );
    }
  }
});
