/** The example of the specification works as it stands there, for the oldest and the newest client that speak our protocol. */
import { ok } from "node:assert/strict";
import { ensureCommand, findCommand } from "../../helpers/debian.ts";
import { startDoors, type TestDoors } from "../../helpers/doors.ts";
import { ExamplePage, runExample, runInBrowser, type RunningExample, versionOf } from "./published_client.ts";

const CLIENTS = ["socket.io-client-3", "socket.io-client"];
const WAIT_MS = 60_000;

async function requireWorks(
  doors: TestDoors,
  user: string,
  start: (scene: { url: string; token: string; roomId: string }) => Promise<RunningExample>,
): Promise<void> {
  const listener = await doors.socket.ear(`${user}-listener`);
  const { room } = await listener.call("create_room", { name: "a room" });
  await listener.call("join_room", { roomId: room.id });
  const token = await doors.app.tokenFor(user);
  await using example = await start({ url: doors.app.url, token, roomId: room.id });
  const told = () => `${user} printed:\n${example.lines.join("\n")}`;
  try {
    const heard = (event: string) => listener.socket.events(event).length > 0;
    await listener.socket.until(() => heard("message_received"), "the message", WAIT_MS);
    await listener.socket.until(() => heard("typing_indicator"), "the typing", WAIT_MS);
    const printed = () => example.lines.some((line) => line.includes("New message:"));
    for (const end = performance.now() + WAIT_MS; !printed() && performance.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    ok(printed());
  } catch (fault) {
    throw new Error(told(), { cause: fault });
  }
  const { message } = listener.events("message_received")[0];
  ok(message.content === "Hello, world!" && message.senderId === user, told());
  ok(listener.events("typing_indicator")[0].userId === user, told());
}

Deno.test("the specification's example: the oldest and the newest client, under Deno, under Node and in Chromium", async (t) => {
  await ensureCommand("chromium", "chromium");
  await ensureCommand("node", "nodejs");
  const chromium = await findCommand("chromium") ?? "";
  await using pages = new AsyncDisposableStack();
  const pageOf = new Map(CLIENTS.map((name) => [name, pages.use(new ExamplePage())]));
  const origins = [...pageOf.values()].map(({ origin }) => origin).join(",");
  await using doors = await startDoors({ env: { CORS_ORIGIN: origins } });
  const besideOthers = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };
  const steps = [];
  for (const [name, page] of pageOf) {
    const version = await versionOf(name);
    for (const runtime of ["deno", "node"] as const) {
      const fn = () =>
        requireWorks(doors, `${runtime}-${version}`, (scene) => runExample(runtime, version, scene));
      steps.push(t.step({ name: `${version} under ${runtime}`, fn, ...besideOthers }));
    }
    const fn = () =>
      requireWorks(doors, `chromium-${version}`, (scene) => runInBrowser(chromium, version, scene, page));
    steps.push(t.step({ name: `${version} in Chromium`, fn, ...besideOthers }));
  }
  const passed = await Promise.all(steps);
  ok(passed.every(Boolean));
});
