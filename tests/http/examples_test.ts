/** What a developer meets first: the address of the server, and the bodies that the docs page offers to try. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { commands, type CommandSpec } from "../../src/protocol/commands.ts";
import { startTestApp } from "../helpers/test_app.ts";

Deno.test("the server's own address leads to the docs", async () => {
  await using app = await startTestApp();
  const response = await fetch(app.url);
  deepStrictEqual([response.status, response.url], [200, `${app.url}/api/chat/docs/`]);
  await response.body?.cancel();
});

Deno.test("every body of the docs has an example that works as it is, but for ids", async () => {
  await using app = await startTestApp();
  const ada = await app.rest("ada", { name: "Ada" });
  for (const user of ["grace", "alan"]) await (await app.rest(user)).get("/rooms");
  const alan = await app.rest("alan");
  const ids: Record<string, string> = { userId: "grace" };
  let tried = 0;
  for (const [name, { rest, input, example }] of Object.entries<CommandSpec>(commands)) {
    if (rest === undefined || rest.method === "GET" || rest.method === "DELETE") continue;
    const inPath = [...rest.path.matchAll(/:(\w+)/g)].map(([, field]) => field ?? "");
    const fields = Object.keys((input as unknown as { shape: object }).shape);
    if (fields.every((field) => inPath.includes(field))) continue; // no body
    ok(example !== undefined, name);
    const path = rest.path.replace("/api/chat", "").replaceAll(/:(\w+)/g, (_, field) => ids[field] ?? "");
    const body = Object.fromEntries(
      Object.entries(example).map(([field, value]) => [field, field === "roomId" ? ids.roomId : value]),
    );
    const client = name === "join_room" || name === "leave_room" ? alan : ada;
    const answer = await client.request(rest.method, path, body);
    strictEqual(answer.status, rest.status, `${name}: ${JSON.stringify(answer.body)}`);
    ids.roomId ??= answer.body.room?.id;
    ids.messageId ??= answer.body.message?.id;
    tried++;
  }
  ok(tried > 8, `${tried} tried`);
});
