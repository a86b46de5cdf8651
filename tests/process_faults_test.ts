/** What escapes every handler ends nothing: it is logged and counted, and the node serves. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { until } from "./bus/until.ts";
import { createTestDatabase } from "./helpers/databases.ts";
import { startNodeProcess, taskCommand } from "./helpers/node_process.ts";
import { signToken } from "./helpers/test_app.ts";
import { connectSocket } from "./helpers/test_socket.ts";

Deno.test("faults that nobody catches are logged and counted, and sockets do not notice", async () => {
  await using database = await createTestDatabase();
  const [verb = "", ...words] = await taskCommand("start");
  const command = [Deno.execPath(), verb, "--preload=tests/helpers/planted_faults.ts", ...words];
  await using node = await startNodeProcess(
    database.url,
    { METRICS_PORT: "0", DATABASE_POOL_SIZE: "2" },
    command,
  );
  const { lines } = node;
  const faults = () => lines.filter((line) => line.includes('"event":"process.fault"'));
  const ada = await connectSocket(node.url, await signToken("ada"));
  node.kill("SIGUSR1");
  await until(() => faults().length >= 3, "three faults");
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
});
