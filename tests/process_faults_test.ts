/** What escapes every handler ends nothing: it is logged and counted, and the node serves. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createTestDatabase } from "./helpers/databases.ts";
import { readLines, taskCommand } from "./helpers/node_process.ts";
import { JWT_SECRET, signToken } from "./helpers/test_app.ts";
import { connectSocket } from "./helpers/test_socket.ts";

Deno.test("faults that nobody catches are logged and counted, and sockets do not notice", async () => {
  await using database = await createTestDatabase();
  const [verb = "", ...words] = await taskCommand("start");
  const child = new Deno.Command(Deno.execPath(), {
    args: [verb, "--preload=tests/helpers/planted_faults.ts", ...words],
    cwd: new URL("../", import.meta.url),
    env: {
      DATABASE_URL: database.url,
      JWT_SECRET,
      PORT: "0",
      METRICS_PORT: "0",
      HOST: "127.0.0.1",
      DATABASE_POOL_SIZE: "2",
    },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const readers = [child.stdout, child.stderr].map((stream) =>
    readLines(stream, (line) => void lines.push(line))
  );
  const until = async (holds: () => boolean, what: string): Promise<void> => {
    for (let turn = 0; !holds(); turn++) {
      if (turn === 400) throw new Error(`Waited for ${what}:\n${lines.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const faults = () => lines.filter((line) => line.includes('"event":"process.fault"'));
  const listening = () => lines.map((line) => /listening".*"port":(\d+)/.exec(line)?.[1]).find(Boolean);
  try {
    await until(() => listening() !== undefined, "the node");
    const url = `http://127.0.0.1:${listening()}`;
    const ada = await connectSocket(url, await signToken("ada"));
    child.kill("SIGUSR1");
    await until(() => faults().length >= 3, "the faults");
    const { rooms } = await ada.call("list_rooms");
    deepStrictEqual(rooms, []);
    ok(faults().some((line) => line.includes("planted: thrown by a timer")));
    ok(faults().some((line) => line.includes("planted: a rejection")));
    strictEqual(faults().length, 3);
    const metricsPort = lines.map((line) => /"metricsPort":(\d+)/.exec(line)?.[1]).find(Boolean);
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    ok(text.includes("\nscroll_chat_process_faults_total 3\n"), text);
    ok(text.includes("\nscroll_chat_connections_cut_total 0\n"), text);
    ok(text.includes("\nscroll_chat_refusals_waiting 0\n"), text);
    await ada.close();
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await child.status;
    await Promise.all(readers);
  }
});
