import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { findEmbeddedPostgres, startEmbeddedPostgres } from "../../src/embedded/postgres.ts";
import { TestFolder } from "../embedded/owner.ts";
import { childrenOf } from "../faults/processes.ts";
import { createTestDatabase } from "../helpers/databases.ts";
import { startTestApp } from "../helpers/test_app.ts";
import { Refused, type TestSocket } from "../helpers/test_socket.ts";
import { checkSequence, connect } from "./fixture.ts";

const FROZEN_MS = 10_000;
const DEADLINE_MS = 5_000;
/** For a busy machine. */
const SLACK_MS = 1_500;
const SENDS = 10;

/** The postmaster and all its children, none of which can then fork another. */
async function freeze(postmaster: number): Promise<number[]> {
  const frozen = new Set<number>();
  for (let tree = [postmaster]; tree.some((pid) => !frozen.has(pid)); tree = await childrenOf(postmaster)) {
    for (const pid of tree) {
      Deno.kill(pid, "SIGSTOP");
      frozen.add(pid);
    }
  }
  return [...frozen];
}

interface Try {
  ms: number;
  outcome: string;
}

/** As a client does: the same clientMessageId until it is acknowledged. */
async function sendUntilAcknowledged(
  socket: TestSocket,
  event: string,
  data: Record<string, unknown>,
): Promise<{ id: string; seq: number; tries: Try[] }> {
  const tries: Try[] = [];
  for (;;) {
    const began = performance.now();
    try {
      const { message } = await socket.call(event, data);
      tries.push({ ms: performance.now() - began, outcome: "stored" });
      return { id: message.id, seq: message.seq, tries };
    } catch (fault) {
      if (!(fault instanceof Refused)) throw fault;
      tries.push({ ms: performance.now() - began, outcome: fault.code });
    }
  }
}

Deno.test("Postgres frozen for 10 s: `unavailable` within the deadline, and nothing doubled by the retries", async () => {
  await using folder = await TestFolder.make();
  const dataDir = folder.dataDir();
  await using server = await startEmbeddedPostgres({
    dataDir,
    database: "postgres",
    settings: { fsync: "off" },
  });
  await using database = await createTestDatabase(server.url);
  await using app = await startTestApp({ database, env: { DATABASE_TIMEOUT: String(DEADLINE_MS) } });
  const [ada, ben] = [await app.connect("ada"), await app.connect("ben")];
  const { room } = await ada.call("create_room", { name: "Room" });
  await ben.call("join_room", { roomId: room.id });
  await ada.call("join_room", { roomId: room.id });
  await ada.call("send_message", { roomId: room.id, content: "before" });
  const { pid } = await findEmbeddedPostgres(dataDir) ?? {};
  ok(pid);

  await using stack = new AsyncDisposableStack();
  const frozen = await freeze(pid);
  const thaw = () => frozen.splice(0).forEach((each) => Deno.kill(each, "SIGCONT"));
  stack.defer(thaw);
  ok(frozen.length > 4, `only ${frozen.length} processes were found`);
  const frozenAt = performance.now();
  const names = Array.from({ length: SENDS }, (_, i) => `m${i}`);
  const said = names.map((name) =>
    sendUntilAcknowledged(ada, "send_message", { roomId: room.id, content: name, clientMessageId: name })
  );
  const toBen = names.map((name) =>
    sendUntilAcknowledged(ada, "send_direct_message", {
      recipientId: "ben",
      content: name,
      clientMessageId: name,
    })
  );
  const read = ben.call("list_rooms").then(() => "answered", (fault) => fault.code);
  strictEqual(await read, "unavailable");
  ok(performance.now() - frozenAt < DEADLINE_MS + SLACK_MS);
  await new Promise((resolve) => setTimeout(resolve, FROZEN_MS - (performance.now() - frozenAt)));
  thaw();
  const outcomes = await Promise.all([...said, ...toBen]);

  for (const { tries } of outcomes) {
    const failed = tries.slice(0, -1);
    deepStrictEqual(failed.map(({ outcome }) => outcome), failed.map(() => "unavailable"));
    ok(failed.length >= 1, "a send did not meet the frozen Postgres");
    for (const { ms } of tries) ok(ms < DEADLINE_MS + SLACK_MS, `a send was answered after ${ms} ms`);
  }
  const sql = connect(database.url);
  stack.defer(() => sql.end());
  await checkSequence(sql, room.id, 4, 1 + SENDS);
  const rows = await sql<{ id: string; name: string }[]>`
    select m.id, m.client_message_id as name from messages m join rooms r on r.id = m.room_id
    where m.client_message_id like 'm%' and m.content like 'm%' order by r.type = 'DIRECT', m.client_message_id`;
  deepStrictEqual(rows.map((row) => row.name), [...names, ...names]);
  deepStrictEqual(rows.map((row) => row.id), outcomes.map((outcome) => outcome.id));
  for (const event of ["message_received", "direct_message_received"]) {
    await ben.until(() => idsOf(ben, event).size >= SENDS, event);
    const pushed = ben.events(event).filter(({ message }) => names.includes(message.content));
    strictEqual(pushed.length, idsOf(ben, event).size, `${event} came twice`);
  }
});

function idsOf(socket: TestSocket, event: string): Set<string> {
  return new Set(
    socket.events(event).map(({ message }) => message).filter(({ content }) => /^m\d/.test(content))
      .map(({ id }) => id),
  );
}
