/**
 * Figures of read receipts: `deno task bench:receipts [--members 500] [--messages 60] [--rate 2] [--within 1000] [--out file]`.
 * One node, one room: first nobody reads, then everybody reads every message. The node is a process of its own,
 * and so is Postgres; the readers have a thread. BENCH_DATABASE_URL names a server in place of an embedded one.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { cpuSeconds } from "../../tests/faults/processes.ts";
import { createTestDatabase } from "../../tests/helpers/databases.ts";
import { type NodeProcess, startNodeProcess } from "../../tests/helpers/node_process.ts";
import { signToken } from "../../tests/helpers/test_app.ts";
import { connectSocket, type TestSocket } from "../../tests/helpers/test_socket.ts";
import { serverOf } from "../server.ts";
import { percentilesOf } from "../replay/percentiles.ts";
import type { ReadersResult, ReadersWord } from "./readers.ts";
import { describe, type Phase } from "./report.ts";

const { values } = parseArgs({
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    members: { type: "string", default: "500" },
    messages: { type: "string", default: "60" },
    rate: { type: "string", default: "2" },
    within: { type: "string", default: "1000" },
    out: { type: "string" },
  },
});
const [members, messages] = [Number(values.members), Number(values.messages)];
const everyMs = 1000 / Number(values.rate);

async function main(): Promise<void> {
  const [load] = Deno.loadavg();
  await using parts = new AsyncDisposableStack();
  const server = await serverOf(parts);
  const database = parts.use(await createTestDatabase(server));
  const node = parts.use(
    await startNodeProcess(database.url, {
      CHAT_RATE_COMMANDS: "0",
      CHAT_RATE_CHANGES: "0",
    }),
  );
  const owner = await connectSocket(node.url, await signToken("owner"));
  parts.defer(() => owner.close());
  const { room } = await owner.call("create_room", { name: "everybody reads", type: "PUBLIC" });
  const tokens = await Promise.all(
    Array.from({ length: members - 1 }, (_, i) => signToken(`reader-${i}`, { name: `Reader number ${i}` })),
  );
  const readers = parts.use(new Readers());
  await readers.tell({ url: node.url, roomId: room.id, tokens, withinMs: Number(values.within) });
  const phases: Phase[] = [];
  for (const word of ["listen", "read"] as const) {
    await readers.tell(word);
    phases.push(await play(word, owner, room.id, node, readers));
  }
  const text = describe({
    ...{ members, messages, rate: Number(values.rate), withinMs: Number(values.within), phases },
    load: load?.toFixed(1) ?? "",
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, Deno ${Deno.version.deno}`,
  });
  if (values.out === undefined) await Deno.stdout.write(new TextEncoder().encode(text));
  else await Deno.writeTextFile(values.out, text);
}

/** The worker, asked one thing at a time. */
class Readers implements Disposable {
  readonly #worker = new Worker(new URL("readers.ts", import.meta.url), { type: "module" });

  async tell(word: ReadersWord): Promise<ReadersResult | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<ReadersResult | undefined>();
    this.#worker.onmessage = ({ data }) => resolve(data);
    this.#worker.onerror = ({ message }) => reject(new Error(message));
    this.#worker.postMessage(word);
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

async function play(
  word: "listen" | "read",
  owner: TestSocket,
  roomId: string,
  node: NodeProcess,
  readers: Readers,
): Promise<Phase> {
  const [cpuBefore, began] = [cpuSeconds(node.pid), performance.now()];
  const ackMs: number[] = [];
  const sends: Promise<void>[] = [];
  for (let i = 0; i < messages; i++) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + i * everyMs - performance.now())));
    const sentAt = performance.now();
    const sent = owner.call("send_message", { roomId, content: `message number ${i}` });
    sends.push(sent.then(() => void ackMs.push(performance.now() - sentAt)));
  }
  await Promise.all(sends);
  const spokenS = (performance.now() - began) / 1000;
  const result = await readers.tell("result") as ReadersResult;
  return {
    name: word === "read" ? "everybody reads" : "nobody reads",
    spokenS,
    cpuS: cpuSeconds(node.pid) - cpuBefore,
    acks: percentilesOf(ackMs),
    marks: percentilesOf(result.markMs),
    result: { ...result, markMs: [] },
  };
}

await main();
