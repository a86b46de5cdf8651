/**
 * The primary lost and the standby promoted, with processes as operators run them: acknowledged messages that had not been
 * replicated are gone, their seqs mean other messages now, and nobody is left to believe in the old ones.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { FaultProxy } from "../faults/fault_proxy.ts";
import { until } from "../faults/until.ts";
import { spawnTask, startNodeProcess } from "../helpers/node_process.ts";
import { JWT_SECRET, signToken } from "../helpers/test_app.ts";
import { connectSocket, Refused, type TestSocket } from "../helpers/test_socket.ts";
import { RegionServers } from "./servers.ts";

const REPLAYED_MS = 10_000;
/** A node looks each five seconds. */
const NOTICED_MS = 30_000;

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

/** A client that knows of messages which the standby never got, when the primary is lost. */
interface Loss {
  room: string;
  ada: TestSocket;
  token: string;
  /** Of before. */
  since: { epoch: string; seq: number };
  meanings: Meanings;
}

async function losePrimary(servers: RegionServers, nodeUrl: string): Promise<Loss> {
  const meanings = new Meanings();
  const token = await signToken("ada");
  const ada = await connectSocket(nodeUrl, token);
  const { room } = await ada.call("create_room", { name: "Lab", type: "PUBLIC" });
  const { position } = await ada.call("join_room", { roomId: room.id });
  const { epoch } = position;
  let seq = 0;
  const send = async (content: string): Promise<void> => {
    const { message } = await ada.call("send_message", { roomId: room.id, content });
    meanings.take(epoch, message);
    seq = message.seq;
  };
  for (const n of [1, 2, 3]) await send(`kept ${n}`);
  await untilReplayed(servers);
  servers.links.replication.set("cut");
  for (const n of [1, 2, 3]) await send(`lost ${n}`);
  await servers.primary.killAll();
  const refused = await ada.call("send_message", { roomId: room.id, content: "to nobody" })
    .then(() => undefined, (fault) => fault);
  ok(refused instanceof Refused && refused.code === "unavailable" && refused.body.retryable, String(refused));
  return { room: room.id, ada, token, since: { epoch, seq }, meanings };
}

/** Others come first, and write until the seqs of what was lost are taken; then she comes back with her position. */
async function expectReset({ room, token, since, meanings }: Loss, nodeUrl: string): Promise<void> {
  const bob = await connectSocket(nodeUrl, await signToken("bob"));
  const { position: now } = await bob.call("join_room", { roomId: room });
  ok(now.epoch !== since.epoch);
  for (let seq = 0; seq <= since.seq;) {
    const { message } = await bob.call("send_message", { roomId: room, content: "anew" });
    meanings.take(now.epoch, message);
    seq = message.seq;
  }
  const back = await connectSocket(nodeUrl, token);
  const joined = await back.call("join_room", { roomId: room, since });
  const synced = await back.call("sync", { positions: { [room]: since } });
  const truth = await bob.call("list_messages", { roomId: room, limit: 100 });
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
}

const ENV = { DATABASE_TIMEOUT: "3000", CHAT_SWEEP_INTERVAL: "1000" };

Deno.test("the primary is lost and its standby promoted: new-epoch, then every client of before is reset, and no seq means two messages", async () => {
  await using servers = await RegionServers.start();
  await using before = await startNodeProcess(servers.primary.url, { ...servers.farEnv, ...ENV });
  const loss = await losePrimary(servers, before.url);
  await promote(servers);
  const renewing = await (await spawnTask("new-epoch", { DATABASE_URL: servers.standby.url, JWT_SECRET }))
    .output();
  strictEqual(renewing.code, 0, new TextDecoder().decode(renewing.stderr));
  strictEqual((await before.end("SIGTERM")).code, 0);
  strictEqual((await loss.ada.untilClosed()).code, 1012);
  await using after = await startNodeProcess(servers.standby.url, { REDIS_URL: servers.redis.url });
  await expectReset(loss, after.url);
});

Deno.test("a standby takes the lost primary's address: nodes notice and begin another epoch, with the same end", async () => {
  await using servers = await RegionServers.start();
  await using address = FaultProxy.to(servers.primary.url);
  const env = { ...servers.homeEnv, ...ENV, DATABASE_URL: address.through(servers.primary.url) };
  await using one = await startNodeProcess(servers.primary.url, env);
  await using other = await startNodeProcess(servers.primary.url, env);
  const loss = await losePrimary(servers, one.url);
  await promote(servers);
  address.lead(servers.standby.url);
  const closed = loss.ada.until(() => loss.ada.closed !== undefined, "the close", NOTICED_MS);
  const say = async (n: number): Promise<boolean> => { // what is numbered before anybody has noticed
    if (loss.ada.closed !== undefined) return true; // nobody would answer
    const sent = await loss.ada.call("send_message", { roomId: loss.room, content: `unnoticed ${n}` })
      .then(() => true, () => false);
    return sent || loss.ada.closed !== undefined;
  };
  for (let n = 0; n < 3; n++) await until(() => say(n), NOTICED_MS, "an answer");
  await closed;
  strictEqual(loss.ada.closed?.code, 1012);
  await expectReset(loss, other.url);
  const notices = [one, other].flatMap(({ lines }) =>
    lines.filter((line) => line.includes("primary.promoted"))
  );
  strictEqual(notices.filter((line) => line.includes('"isFirst":true')).length, 1, notices.join("\n"));
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
