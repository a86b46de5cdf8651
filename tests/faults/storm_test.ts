/** F15: a node dies with 1,000 sockets, and all of them come back to it at once. What each costs Postgres and Redis is counted. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { migrate } from "../../src/store/migrate.ts";
import { MIGRATIONS, quietLog } from "../helpers/databases.ts";
import { randomOf } from "../helpers/faulty_bus.ts";
import { startNodeProcess } from "../helpers/node_process.ts";
import { RedisServer } from "../helpers/redis.ts";
import { RestClient } from "../helpers/rest_client.ts";
import { callsOf, COUNTING, StatementCounts } from "../helpers/statement_counts.ts";
import { signToken } from "../helpers/test_app.ts";
import { Refused } from "../helpers/test_socket.ts";
import { ChatLink } from "./chat_link.ts";
import { expectOk } from "./population.ts";
import { steadyPort } from "./ports.ts";
import { PrivatePostgres } from "./private_postgres.ts";
import { say } from "./say.ts";
import { until } from "./until.ts";

const SOCKETS = 1_000;
const ROOMS = 20;
const AT_ONCE = 100;
const BACK_WITHIN_MS = 30_000;
/** A reconnect: who is it, where is the inbox, which rooms, and the one room that changed. */
const STATEMENTS_MAX = 8;
/** The word of the new node on the user; and, if it takes longer than a lease, what the dead one had said is taken back. */
const REDIS_COMMANDS_MAX = 16;

Deno.test("F15 1,000 sockets come back to a node that was killed: all of them hear, and operations are bounded", async () => {
  await using server = await PrivatePostgres.start({ settings: COUNTING });
  await migrate({ url: server.url }, MIGRATIONS, quietLog);
  await using redis = await RedisServer.start([], steadyPort());
  const sql = postgres(server.url, { max: 1, onnotice: () => {}, fetch_types: false });
  await using parts = new AsyncDisposableStack();
  parts.defer(() => sql.end());
  const statements = await StatementCounts.of(sql);
  const env = { REDIS_URL: redis.url, PORT: String(steadyPort()), CHAT_RATE_CHANGES: "0" };
  const first = parts.use(await startNodeProcess(server.url, env));
  const rooms = await makeRooms(first.url);
  const clients: Member[] = [];
  for (let i = 0; i < SOCKETS; i++) {
    clients.push(new Member(await signToken(`user-${i}`), first.url, rooms[i % ROOMS] ?? "", i));
  }
  parts.defer(async () => void await Promise.all(clients.map(({ link }) => link[Symbol.asyncDispose]())));
  for (let from = 0; from < SOCKETS; from += AT_ONCE) { // they become members, which is not what is counted
    const wave = clients.slice(from, from + AT_ONCE);
    for (const { link } of wave) link.start();
    await until(() => wave.every(({ lives }) => lives === 1), BACK_WITHIN_MS, "all to hear");
  }

  await first.end();
  await statements.take();
  await redis.takeCommandCounts();
  const began = performance.now();
  const second = await startNodeProcess(server.url, env);
  parts.use(second);
  await until(() => clients.every(({ lives }) => lives >= 2), BACK_WITHIN_MS, "all to be back");
  const took = Math.round(performance.now() - began);
  const calls = callsOf(await statements.take());
  const commands = [...await redis.takeCommandCounts()].filter(([name]) =>
    !/^(info|config|ping|quit)/.test(name)
  )
    .reduce((sum, [, count]) => sum + count, 0);
  const each = { statements: calls / SOCKETS, commands: commands / SOCKETS };
  await say(
    `F15 ${SOCKETS} sockets back in ${took} ms: ${each.statements} statements and ${each.commands} Redis commands each`,
  );
  ok(each.statements <= STATEMENTS_MAX, `${each.statements} statements a reconnect`);
  ok(each.commands <= REDIS_COMMANDS_MAX, `${each.commands} Redis commands a reconnect`);
  deepStrictEqual(clients.flatMap(({ refusals }) => refusals), []);
  strictEqual(second.lines.filter((line) => line.includes('"process.fault"')).length, 0);
  await hearsAgain(second.url, rooms, clients);
});

/** A member of one room, who comes back as the contract says. */
class Member {
  readonly link: ChatLink;
  readonly roomId: string;
  lives = 0;
  readonly refusals: string[] = [];
  heard = 0;
  #position: unknown;

  constructor(token: string, url: string, roomId: string, seed: number) {
    this.roomId = roomId;
    this.link = new ChatLink({
      token,
      urls: [url],
      random: randomOf(seed),
      onOpen: () => void this.#join(),
      onPush: (event) => event === "message_received" && this.heard++,
    });
    this.link.isPatient = true; // nothing is said in the rooms
  }

  async #join(): Promise<void> {
    const since = this.#position === undefined ? {} : { since: this.#position };
    try {
      const { position } = await this.link.call("join_room", { roomId: this.roomId, ...since });
      this.#position = position;
      this.lives++;
    } catch (fault) {
      if (!(fault instanceof Refused)) return; // the next life joins
      this.refusals.push(fault.code);
      if (fault.body.retryable) setTimeout(() => this.link.isOpen && void this.#join(), 500);
    }
  }
}

async function makeRooms(url: string): Promise<string[]> {
  const owner = new RestClient(url, await signToken("owner"));
  return await Promise.all(Array.from({ length: ROOMS }, async (_, i) => {
    const { room } = await expectOk(() => owner.post("/rooms", { name: `Room ${i}`, type: "PUBLIC" }));
    return room.id as string;
  }));
}

async function hearsAgain(url: string, rooms: readonly string[], clients: readonly Member[]): Promise<void> {
  const owner = new RestClient(url, await signToken("owner"));
  for (const roomId of rooms) {
    await expectOk(() => owner.post("/messages", { roomId, content: "Welcome back" }));
  }
  await until(() => clients.every(({ heard }) => heard === 1), BACK_WITHIN_MS, "a message in every room");
}
