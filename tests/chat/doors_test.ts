/** The helper that all tests at the doors stand on: it must notice what it is there for. */
import { deepStrictEqual, match, rejects, strictEqual, throws } from "node:assert/strict";
import postgres from "postgres";
import { requireAnswerFits, requireErrorFits, requirePushFits } from "../helpers/contract.ts";
import { placeInput, readAnswer, startDoors } from "../helpers/doors.ts";

const ID = "01890a5d-ac96-774b-bcce-b302099a8057";

Deno.test("requireFits() names the path of what is missing, too much or of another type", () => {
  requireAnswerFits("leave_room", { roomId: ID });
  throws(
    () => requireAnswerFits("leave_room", {}),
    /answer to leave_room: \/ must have required property 'roomId'/,
  );
  throws(() => requireAnswerFits("leave_room", { roomId: "x" }), /\/roomId must match format/);
  throws(() => requireAnswerFits("leave_room", { roomId: ID, more: 1 }), /additional properties/);
  throws(() => requireAnswerFits("constructor", {}), /no command/);
  requirePushFits("room_deleted", { roomId: ID, after: 1, seq: 2 });
  throws(
    () => requirePushFits("room_deleted", { roomId: ID, after: 1, seq: "2" }),
    /event room_deleted: \/seq must be/,
  );
  throws(() => requirePushFits("not_published", {}), /not published/);
  requireErrorFits({ code: "banned", message: "no", retryable: false });
  throws(() => requireErrorFits({ code: "bannned", message: "no", retryable: false }), /error: \/code/);
  throws(() => requireErrorFits({ code: "banned", message: "no" }), /retryable/);
});

Deno.test("TestDoors fails a test behind whose back a push broke the contract", async () => {
  const doors = await startDoors();
  const ear = await doors.socket.ear("ada");
  const frame = JSON.stringify({ event: "room_deleted", data: { roomId: ID, after: 1 } });
  ear.socket.socket.dispatchEvent(new MessageEvent("message", { data: frame }));
  await rejects(
    () => doors[Symbol.asyncDispose](),
    /Behind the test's back:\n.*event room_deleted: \/ must have required property 'seq'/,
  );
});

Deno.test("TestDoors fails a test during which the server logged an error", async () => {
  const doors = await startDoors();
  await doors.socket.ear("ada");
  // whoever takes the table away makes it our fault
  const sql = postgres(doors.app.database.url, { max: 1 });
  await sql`alter table users rename to people`;
  await sql.end();
  await rejects((await doors.rest.as("bob")).call("list_rooms"), /internal/);
  await rejects(() => doors[Symbol.asyncDispose](), /The server logged .*request\.fault/);
});

Deno.test("readAnswer() refuses an answer without the headers that every answer has", async () => {
  const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff", "x-request-id": ID };
  const body = { error: { code: "banned", message: "no", retryable: false, requestId: ID } };
  const answer = (init: ResponseInit, content: unknown = body) => readAnswer(Response.json(content, init));
  deepStrictEqual(await answer({ status: 403, headers }), body);
  for (const name of Object.keys(headers)) {
    const { [name as keyof typeof headers]: _, ...others } = headers;
    await rejects(() => answer({ status: 403, headers: others }), new RegExp(name));
  }
  await rejects(() => answer({ status: 404, headers }), /not the status of banned/);
  await rejects(
    () => answer({ status: 403, headers }, { error: { ...body.error, requestId: "other" } }),
    /odd error/,
  );
  await rejects(() => readAnswer(new Response("hm", { status: 403, headers })), /not JSON/);
});

Deno.test("placeInput() puts fields into path, query and body as the command table says", () => {
  const input = { roomId: "a/b", limit: 3, cursor: ["x", "y"] };
  const get = placeInput({ method: "GET", path: "/rooms/:roomId/members" }, input);
  deepStrictEqual(get, { path: "/rooms/a%2Fb/members?limit=3&cursor=x&cursor=y", body: undefined });
  const post = placeInput({ method: "POST", path: "/rooms/:roomId/join" }, {
    roomId: "r",
    since: { seq: 1 },
  });
  deepStrictEqual(post, { path: "/rooms/r/join", body: '{"since":{"seq":1}}' });
  strictEqual(placeInput({ method: "POST", path: "/rooms/:roomId/join" }, { roomId: "r" }).body, undefined);
  match(
    placeInput({ method: "POST", path: "/rooms" }, JSON.parse('{"__proto__":1}')).body ?? "",
    /__proto__/,
  );
});
