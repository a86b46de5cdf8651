/**
 * The primary lost and the standby promoted, with processes as operators run them: acknowledged messages that had not been
 * replicated are gone, their seqs mean other messages now, and nobody is left to believe in the old ones.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { until } from "../faults/until.ts";
import { spawnTask, startNodeProcess } from "../helpers/node_process.ts";
import { JWT_SECRET, signToken } from "../helpers/test_app.ts";
import { connectSocket, Refused, type TestSocket } from "../helpers/test_socket.ts";
import { RegionServers } from "./servers.ts";

const REPLAYED_MS = 10_000;

interface Message {
  id: string;
  seq: number;
  content: string;
}

/** What a client was told that a seq of an epoch is. */
class Meanings {
  readonly #idOf = new Map<string, string>();
  readonly twofold: string[] = [];

  take(epoch: string, { id, seq, content }: Message): void {
    const place = `${epoch} ${seq}`;
    const known = this.#idOf.get(place) ?? id;
    if (known !== id) this.twofold.push(`${place}: ${content}`);
    this.#idOf.set(place, id);
  }
}

Deno.test("the primary is lost and its standby promoted: new-epoch, then every client of before is reset, and no seq means two messages", async () => {
  await using servers = await RegionServers.start();
  const meanings = new Meanings();
  const token = await signToken("ada");
  await using before = await startNodeProcess(servers.primary.url, {
    ...servers.farEnv,
    DATABASE_TIMEOUT: "1500",
  });
  const ada = await connectSocket(before.url, token);
  const { room } = await ada.call("create_room", { name: "Lab", type: "PUBLIC" });
  const { position: first } = await ada.call("join_room", { roomId: room.id });
  const { epoch } = first;
  const send = async (socket: TestSocket, content: string, inEpoch: string): Promise<Message> => {
    const { message } = await socket.call("send_message", { roomId: room.id, content });
    meanings.take(inEpoch, message);
    return message;
  };
  for (const n of [1, 2, 3]) await send(ada, `kept ${n}`, epoch);
  await untilReplayed(servers);
  servers.links.replication.set("cut");
  let lost = await send(ada, "lost 1", epoch);
  for (const n of [2, 3]) lost = await send(ada, `lost ${n}`, epoch);
  await servers.primary.killAll();
  const refused = await ada.call("send_message", { roomId: room.id, content: "to nobody" })
    .then(() => undefined, (fault) => fault);
  ok(refused instanceof Refused && refused.code === "unavailable" && refused.body.retryable, String(refused));

  await promote(servers);
  const renewing = await (await spawnTask("new-epoch", { DATABASE_URL: servers.standby.url, JWT_SECRET }))
    .output();
  strictEqual(renewing.code, 0, new TextDecoder().decode(renewing.stderr));
  before.kill("SIGTERM");
  strictEqual((await before.status).code, 0);
  strictEqual((await ada.untilClosed()).code, 1012);

  await using after = await startNodeProcess(servers.standby.url, { REDIS_URL: servers.redis.url });
  // others come first, and write until the seqs of what was lost are taken
  const bob = await connectSocket(after.url, await signToken("bob"));
  const { position: now } = await bob.call("join_room", { roomId: room.id });
  ok(now.epoch !== epoch);
  while ((await send(bob, "anew", now.epoch)).seq <= lost.seq);

  const back = await connectSocket(after.url, token);
  const since = { epoch, seq: lost.seq };
  const joined = await back.call("join_room", { roomId: room.id, since });
  const synced = await back.call("sync", { positions: { [room.id]: since } });
  const truth = await bob.call("list_messages", { roomId: room.id, limit: 100 });
  const ids = (messages: Message[]): string[] => messages.map(({ id }) => id);
  for (const told of [joined, synced.rooms[0]]) {
    strictEqual(told.reset, true);
    strictEqual(told.since, null);
    strictEqual(told.position.epoch, now.epoch);
    deepStrictEqual(ids(told.messages), ids(truth.messages));
    for (const message of told.messages) meanings.take(told.position.epoch, message);
  }
  deepStrictEqual(meanings.twofold, []);
  await Promise.all([bob.close(), back.close()]);
});

async function promote({ standby }: RegionServers): Promise<void> {
  const sql = postgres(standby.url, { max: 1, fetch_types: false });
  try {
    const [row] = await sql<{ done: boolean }[]>`select pg_promote() as done`;
    strictEqual(row?.done, true);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** The standby has all that the primary has. */
async function untilReplayed({ primary, standby }: RegionServers): Promise<void> {
  const [of, at] = [primary, standby].map(({ url }) => postgres(url, { max: 1, fetch_types: false }));
  if (of === undefined || at === undefined) throw new Error("There are no two servers");
  try {
    const [row] = await of<{ end: string }[]>`select pg_current_wal_flush_lsn()::text as end`;
    const isThere = async (): Promise<boolean> => {
      const [there] = await at<{ there: boolean }[]>`
        select pg_last_wal_replay_lsn() >= ${row?.end ?? ""}::text::pg_lsn as there`;
      return there?.there ?? false;
    };
    await until(isThere, REPLAYED_MS, "the standby");
  } finally {
    await Promise.all([of.end({ timeout: 1 }), at.end({ timeout: 1 })]);
  }
}
