/** The process as operators know it: what it refuses to start without, and how it ends. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { createTestDatabase } from "./helpers/databases.ts";
import { spawnTask, startNodeProcess } from "./helpers/node_process.ts";
import { signToken } from "./helpers/test_app.ts";
import { RestClient } from "./helpers/rest_client.ts";
import { connectSocket } from "./helpers/test_socket.ts";

Deno.test("start refuses a bad environment and names all of it at once, without values of secrets", async () => {
  const child = await spawnTask("start", {
    PORT: "80O0",
    JWT_SECRET: "short-hunter2",
    DATABASE_URL: "mysql://u:hunter3@h/d",
  });
  const { code, stderr } = await child.output();
  const text = new TextDecoder().decode(stderr);
  strictEqual(code, 1);
  for (const name of ["PORT", "JWT_SECRET", "DATABASE_URL"]) match(text, new RegExp(name));
  ok(!/hunter/.test(text), text);
});

Deno.test("start says which of JWT_SECRET, JWT_JWKS_URL and DATABASE_URL are missing", async () => {
  const { code, stderr } = await (await spawnTask("start", {})).output();
  const text = new TextDecoder().decode(stderr);
  strictEqual(code, 1);
  match(text, /DATABASE_URL is missing/);
  match(text, /JWT_SECRET or JWT_JWKS_URL is missing/);
});

Deno.test("an address that cannot be listened at is told by the names of its variables", async () => {
  await using database = await createTestDatabase();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String(taken.addr.port);
  const cases: [Record<string, string>, RegExp][] = [
    [{ PORT: port }, new RegExp(`^The port ${port} is taken: choose another with PORT$`)],
    [{ PORT: "0", METRICS_PORT: port }, new RegExp(`${port} \\(METRICS_PORT\\)$`)],
    [{ PORT: "0", HOST: "nobody.invalid" }, /^HOST must be an address of this machine/],
  ];
  await Promise.all(cases.map(async ([env, told]) => {
    const known = { DATABASE_URL: database.url, JWT_SECRET: "x".repeat(32), HOST: "127.0.0.1" };
    const { code, stderr } = await (await spawnTask("start", { ...known, ...env })).output();
    strictEqual(code, 1);
    match(new TextDecoder().decode(stderr).trim(), told);
  }));
});

Deno.test("SIGTERM with 100 sockets and sends under way: what was acked is stored, sockets close with 1012, exit 0", async () => {
  await using database = await createTestDatabase();
  await using node = await startNodeProcess(database.url);
  const users = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  const tokens = await Promise.all(users.map((user) => signToken(user)));
  const { body } = await new RestClient(node.url, tokens[0]).post("/rooms", { name: "Lecture" });
  const roomId: string = body.room.id;
  const sockets = await Promise.all(tokens.map((token) => connectSocket(node.url, token)));
  await Promise.all(sockets.map((socket) => socket.call("join_room", { roomId })));

  const acked: string[] = [];
  let stop = false;
  const senders = sockets.slice(0, 10).map(async (socket, i) => {
    for (let n = 0; !stop && socket.closed === undefined; n++) {
      try {
        const { message } = await socket.call("send_message", {
          roomId,
          content: `${n}`,
          clientMessageId: `${i}-${n}`,
        });
        acked.push(message.id);
      } catch {
        return; // unavailable, or closed: not acked
      }
    }
  });
  await sockets[0]?.until(() => acked.length > 300, "300 acks", 10_000);
  const before = performance.now();
  const { code } = await node.end("SIGTERM");
  const took = performance.now() - before;
  stop = true;
  await Promise.all(senders);
  const closes = await Promise.all(sockets.map((socket) => socket.untilClosed()));

  strictEqual(code, 0);
  ok(took < 10_000, `it took ${took} ms`);
  deepStrictEqual([...new Set(closes.map((close) => close.code))], [1012]);
  const sql = postgres(database.url, { max: 1, fetch_types: false });
  const stored = new Set((await sql<{ id: string }[]>`select id from messages`).map((row) => row.id));
  await sql.end();
  deepStrictEqual(acked.filter((id) => !stored.has(id)), []);
  ok(acked.length > 300);
});

Deno.test("start with least permissions says what is not built, and that it runs alone", async () => {
  await using database = await createTestDatabase();
  await using node = await startNodeProcess(database.url);
  strictEqual((await fetch(`${node.url}/healthz`).then((r) => r.json())).status, "ok");
  strictEqual((await fetch(`${node.url}/readyz`).then((r) => r.json())).status, "ready");
  const page = await fetch(`${node.url}/api/chat/docs/`);
  strictEqual(page.status, 200);
  await page.body?.cancel();
  const token = await fetch(`${node.url}/dev/token`, { method: "POST", body: "{}" });
  strictEqual(token.status, 404);
  await token.body?.cancel();
  ok(node.lines.some((line) => line.includes("bus.alone")));
  ok(node.lines.some((line) => line.includes("direct_messages.unencrypted")));
});
