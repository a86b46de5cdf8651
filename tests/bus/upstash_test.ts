/** The bus and the leases over Upstash's REST, and what they do when each thing of it breaks. */
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "@upstash/redis";
import { readConfig } from "../../src/config.ts";
import type { OpenBus } from "../../src/bus/open_bus.ts";
import { freePort } from "../helpers/redis.ts";
import { UPSTASH_FAULTS } from "../helpers/upstash_faults.ts";
import { UpstashServer } from "../helpers/upstash_server.ts";
import { TcpProxy } from "../store/tcp_proxy.ts";
import { busSuite, type Carrier } from "./bus_suite.ts";
import { leasesSuite } from "./leases_suite.ts";
import { openUpstashPair, type RedisPair } from "./redis_fixture.ts";
import { until } from "./until.ts";

const { TOKEN } = UpstashServer;

Deno.test("readConfig() takes Upstash with its token, and REDIS_URL before it", () => {
  const busOf = (env: Record<string, string>) =>
    readConfig("production", { databaseUrl: "postgres://a", jwtSecret: "x".repeat(32) }, (name) => env[name])
      .bus;
  const url = "https://us1-merry-cat-32748.upstash.io";
  const prefix = "scroll-chat:";
  const env = { UPSTASH_REDIS_REST_URL: `${url}/`, UPSTASH_REDIS_REST_TOKEN: TOKEN };
  deepStrictEqual(busOf(env), { is: "upstash", url, token: TOKEN, prefix });
  deepStrictEqual(busOf({ ...env, REDIS_URL: "redis://a" }), { is: "redis", url: "redis://a", prefix });
  const faults: [Record<string, string>, RegExp][] = [
    [{ UPSTASH_REDIS_REST_URL: url }, /UPSTASH_REDIS_REST_TOKEN is missing/],
    [{ UPSTASH_REDIS_REST_TOKEN: TOKEN }, /UPSTASH_REDIS_REST_URL is missing/],
    [{ ...env, UPSTASH_REDIS_REST_URL: "redis://a" }, /UPSTASH_REDIS_REST_URL must be a URL/],
    [
      { ...env, UPSTASH_REDIS_REST_URL: `${url}?_token=${TOKEN}` },
      /UPSTASH_REDIS_REST_URL must have no user/,
    ],
  ];
  for (const [env, fault] of faults) {
    throws(() => busOf(env), (error: Error) => fault.test(error.message) && !error.message.includes(TOKEN));
  }
});

Deno.test("upstash bus and leases", async (t) => {
  await using server = await UpstashServer.start();
  const carrier = <F extends object>(of: (pair: RedisPair) => F): Carrier<F & AsyncDisposable> => ({
    open: async () => {
      const pair = await openUpstashPair(server.url, TOKEN);
      return { ...of(pair), [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
    },
  });
  await busSuite(t, carrier(({ ends: [one, other] }) => ({ one: one.bus, other: other.bus })));
  await leasesSuite(t, carrier(({ ends: [one, other] }) => ({ nodes: [one.leases, other.leases] as const })));
});

Deno.test("the tests' Upstash answers @upstash/redis as documented", async () => {
  await using server = await UpstashServer.start();
  const redis = new Redis({ url: server.url, token: TOKEN, enableTelemetry: false });
  strictEqual(await redis.set("a", "ü🕊 OK"), "OK");
  strictEqual(await redis.get("a"), "ü🕊 OK");
  strictEqual(await redis.get("none"), null);
  strictEqual(await redis.hset("h", { x: 1, y: "z" }), 2);
  deepStrictEqual(await redis.hgetall("h"), { x: 1, y: "z" });
  deepStrictEqual(await redis.pipeline().incr("n").incr("n").exec(), [1, 2]);
  deepStrictEqual(await redis.multi().incr("n").get("a").exec(), [3, "ü🕊 OK"]);
  deepStrictEqual(await redis.eval("return {KEYS[1], ARGV[1], {1, 'two'}}", ["k"], ["v"]), ["k", "v", [
    1,
    "two",
  ]]);
  const heard: unknown[] = [];
  const subscriber = redis.subscribe<unknown>(["chat"]);
  const { promise: subscribed, resolve } = Promise.withResolvers<void>();
  subscriber.on("subscribe", () => resolve());
  subscriber.on("message", ({ channel, message }) => heard.push([channel, message]));
  await subscribed;
  await redis.publish("chat", "how are you, today?");
  await until(() => heard.length === 1, "the message");
  deepStrictEqual(heard, [["chat", "how are you, today?"]]);
  await subscriber.unsubscribe();

  const ask = async (path: string, init: RequestInit = {}): Promise<[number, unknown]> => {
    const response = await fetch(server.url + path, init);
    return [response.status, await response.json()];
  };
  deepStrictEqual(await ask(`/set/foo/bar?_token=${TOKEN}`), [200, { result: "OK" }]);
  deepStrictEqual(await ask(`/set/foo?EX=100&_token=${TOKEN}`, { method: "POST", body: "b" }), [200, {
    result: "OK",
  }]);
  deepStrictEqual(await ask(`/ttl/foo?_token=${TOKEN}`), [200, { result: 100 }]);
  deepStrictEqual(await ask("/get/foo"), [401, { error: "WRONGPASS invalid or missing auth token" }]);
  const [status, body] = await ask(`/get?_token=${TOKEN}`);
  deepStrictEqual([status, body], [400, { error: "ERR wrong number of arguments for 'get' command" }]);
  strictEqual((await ask(`/get/foo?_token=${TOKEN}`, { method: "DELETE" }))[0], 405);
});

for (const { what, start, end, lastsMs } of UPSTASH_FAULTS) {
  Deno.test(`upstash bus: ${what}: noticed, healed, told of`, async () => {
    await using server = await UpstashServer.start();
    const log: string[] = [];
    await using pair = await openUpstashPair(server.url, TOKEN, (line) => log.push(line));
    const [one, other] = pair.ends.map(({ bus }) => bus) as [OpenBus["bus"], OpenBus["bus"]];
    const heard: string[] = [];
    let gaps = 0;
    other.onGap((topics) => topics === undefined && gaps++);
    await other.subscribe("room:a", (payload) => heard.push(payload));
    await sleep(20);
    gaps = 0; // the first session tells of one too
    start(server);
    one.publish("room:a", "during");
    if (lastsMs > 0) {
      await until(() => !one.isUp && !other.isUp, "both to notice");
      const started = performance.now();
      one.publish("room:a", "secret words");
      await other.subscribe("room:b", (payload) => heard.push(payload));
      ok(performance.now() - started < 300, "nothing waits");
    }
    await until(() => gaps > 0, "the other to be told");
    end(server);
    await until(() => one.isUp && other.isUp, "both to be back");
    one.publish("room:a", "after");
    await until(() => heard.includes("after"), "what follows");
    ok(!/secret words|AX_s/.test(log.join("\n")), "neither content nor the token is logged");
  });
}

Deno.test("upstash bus: a node starts while Upstash is out of reach, and finds it later", async () => {
  const port = freePort();
  await using pair = await openUpstashPair(`http://127.0.0.1:${port}`, TOKEN);
  const [one, other] = pair.ends.map(({ bus }) => bus) as [OpenBus["bus"], OpenBus["bus"]];
  ok(!one.isUp && !other.isUp);
  const heard: string[] = [];
  await other.subscribe("room:a", (payload) => heard.push(payload));
  one.publish("room:a", "before");
  await using _server = await UpstashServer.start(port);
  await until(() => one.isUp && other.isUp, "both to find it");
  one.publish("room:a", "after");
  await until(() => heard.includes("after"), "what follows");
});

Deno.test("upstash bus: connections that turn into black holes are noticed, and left", async () => {
  await using server = await UpstashServer.start();
  await using proxy = TcpProxy.to(server.url);
  await using pair = await openUpstashPair(proxy.through(server.url).replace(/\/$/, ""), TOKEN);
  const [one, other] = pair.ends.map(({ bus }) => bus) as [OpenBus["bus"], OpenBus["bus"]];
  const heard: string[] = [];
  await other.subscribe("room:a", (payload) => heard.push(payload));
  await sleep(20);
  const told = new Set<OpenBus["bus"]>();
  for (const bus of [one, other]) bus.onGap(() => told.add(bus));
  proxy.swallow();
  await until(() => told.size === 2, "both to notice");
  await until(() => one.isUp && other.isUp, "both to be back", 30_000);
  one.publish("room:a", "after");
  await until(() => heard.includes("after"), "what follows");
});

Deno.test("upstash: what a node costs by itself, and for a message", async () => {
  await using server = await UpstashServer.start();
  await using pair = await openUpstashPair(server.url, TOKEN);
  const [one, other] = pair.ends.map(({ bus }) => bus) as [OpenBus["bus"], OpenBus["bus"]];
  const count = async (work: () => Promise<void>) => {
    const { requests, commands } = server;
    await work();
    return { requests: server.requests - requests, commands: server.commands - commands };
  };
  await sleep(500);
  const idle = await count(() => sleep(12_000));
  // of each 6 beats and 4 renewals of the lease
  ok(idle.requests <= 22 && idle.commands <= 22, `${idle.requests} requests, ${idle.commands} commands`);

  let heard = 0;
  const hearing = await count(() => other.subscribe("room:a", () => heard++));
  ok(hearing.commands <= 1);
  const lone = await count(async () => {
    one.publish("room:a", "lone");
    await until(() => heard === 1, "the lone one");
  });
  ok(lone.requests <= 2 && lone.commands <= 3); // a heartbeat may come in between
  const burst = await count(async () => {
    for (let i = 0; i < 500; i++) one.publish("room:a", `${i}`);
    await until(() => heard === 501, "the burst");
  });
  ok(burst.commands <= 10, `500 publications of a burst are ${burst.commands} commands`);
});
