/**
 * `deno task bench:regions`: how long a send and a read take for who is far from the primary. Two regions on one machine with
 * 150 ms between them, there and back (tests/regions/servers.ts); both nodes are processes of their own.
 */
import { RegionServers, ROUND_TRIP_MS } from "../../tests/regions/servers.ts";
import { FaultProxy } from "../../tests/faults/fault_proxy.ts";
import { until } from "../../tests/faults/until.ts";
import { startNodeProcess } from "../../tests/helpers/node_process.ts";
import { RestClient } from "../../tests/helpers/rest_client.ts";
import { signToken } from "../../tests/helpers/test_app.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { percentilesOf } from "../replay/percentiles.ts";
import { Crowd } from "./crowd.ts";
import { type Figure, report } from "./report.ts";

const LONE_SENDS = 60;
const READS = 60;
const PER_SECOND = 500;
const SECONDS = 20;

async function main(): Promise<void> {
  const [loadBefore = 0] = Deno.loadavg();
  await using servers = await RegionServers.start();
  const env = { CHAT_RATE_COMMANDS: "0", CHAT_RATE_CHANGES: "0", SOCKET_MAX_PER_USER: "1000" };
  await using home = await startNodeProcess(servers.primary.url, { ...servers.homeEnv, ...env });
  await using far = await startNodeProcess(servers.primary.url, { ...servers.farEnv, ...env });
  const { DATABASE_REPLICA_URL: _, ...withoutReplica } = servers.farEnv;
  await using blind = await startNodeProcess(servers.primary.url, { ...withoutReplica, ...env });
  await until(() => far.lines.some((line) => line.includes('"replica.fit"')), 20_000, "the replica");
  await using replay = FaultProxy.to(home.url);
  replay.delayMs = ROUND_TRIP_MS / 2;

  const figures: Figure[] = [];
  const add = (what: string, milliseconds: number[]): void =>
    void figures.push({ what, ...percentilesOf(milliseconds) });

  const token = await signToken("reader");
  const client = (url: string): RestClient => new RestClient(url, token);
  const { room } = (await client(home.url).post("/rooms", { name: "Read", type: "PUBLIC" })).body;
  const say = (url: string) => (i: number) =>
    client(url).post("/messages", { roomId: room.id, content: `message ${i}` });
  const page = (url: string) => () => client(url).get(`/rooms/${room.id}/messages?limit=50`);

  await using alone = await Crowd.connect({ far: far.url, home: home.url, rooms: 1, senders: 1 });
  add("a lone send of a far socket, until its ack", await alone.sendInTurn(LONE_SENDS));
  add("the same, until a socket of the home region has it", await alone.takeDeliveries());
  add("a send by REST to the far node, which asks the primary", await times(LONE_SENDS, say(far.url)));
  add(
    "a send by REST carried to the home node, as `fly-replay` does",
    await times(LONE_SENDS, say(replay.url)),
  );
  await sleep(500); // the standby has it all
  add("a page of 50 messages at the far node, with a replica", await times(READS, page(far.url)));
  add("the same without a replica", await times(READS, page(blind.url)));
  for (const rooms of [500, 100]) {
    await using crowd = await Crowd.connect({ far: far.url, home: home.url, rooms, senders: 100 });
    const asked = servers.links.primary.asked;
    const acks = await crowd.sendSteadily({ perSecond: PER_SECOND, seconds: SECONDS });
    const calls = servers.links.primary.asked - asked;
    add(
      `${PER_SECOND} sends a second in ${rooms} rooms, until their acks (${
        (acks.length / calls).toFixed(1)
      } a call)`,
      acks,
    );
    add("the same, until a socket of the home region has them", await crowd.takeDeliveries());
  }
  await report(figures, { roundTripMs: ROUND_TRIP_MS, seconds: SECONDS, loadBefore });
}

async function times(count: number, work: (i: number) => Promise<{ status: number }>): Promise<number[]> {
  await work(-1); // connections, and a token seen for the first time
  const found: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    const { status } = await work(i);
    found.push(performance.now() - began);
    if (status >= 300) throw new Error(`It was answered with ${status}`);
    await sleep(20);
  }
  return found;
}

await main();
Deno.exit(0);
