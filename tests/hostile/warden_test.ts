/** The warden's parts by themselves: spellings of peers, whom it cuts, and where it works. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createTestDatabase } from "../helpers/databases.ts";
import { startNodeProcess, taskCommand } from "../helpers/node_process.ts";
import { frame, OPCODE, RawClient } from "../helpers/raw_client.ts";
import { createLog } from "../../src/log.ts";
import { callerOf } from "../../src/sockets/caller.ts";
import { tooManyIdle } from "../../src/sockets/idle_peers.ts";
import { expandIpv6, openLibc, peerKey } from "../../src/sockets/libc.ts";
import { Peers } from "../../src/sockets/peers.ts";
import { SocketWarden } from "../../src/sockets/socket_warden.ts";
import { MIB, pause, startTarget } from "./target.ts";

Deno.test("expandIpv6() and peerKey() have one spelling for every spelling of an address", () => {
  const spellings: [string, string][] = [
    ["127.0.0.1", "127.0.0.1|80"],
    ["::ffff:127.0.0.1", "127.0.0.1|80"],
    ["::ffff:7f00:1", "127.0.0.1|80"],
    ["0:0:0:0:0:ffff:7f00:0001", "127.0.0.1|80"],
    ["::FFFF:255.255.255.255", "255.255.255.255|80"],
    ["::1", "0:0:0:0:0:0:0:1|80"],
    ["0000:0000:0000:0000:0000:0000:0000:0001", "0:0:0:0:0:0:0:1|80"],
    ["::", "0:0:0:0:0:0:0:0|80"],
    ["2001:db8::", "2001:db8:0:0:0:0:0:0|80"],
    ["2001:0DB8::ff00:42:8329", "2001:db8:0:0:0:ff00:42:8329|80"],
    ["2001:db8:0:0:1::1", "2001:db8:0:0:1:0:0:1|80"],
    ["fe80::1%eth0", "fe80:0:0:0:0:0:0:1|80"],
    ["::127.0.0.1", "0:0:0:0:0:0:7f00:1|80"],
    ["64:ff9b::192.0.2.33", "64:ff9b:0:0:0:0:c000:221|80"],
  ];
  for (const [spelling, key] of spellings) strictEqual(peerKey(spelling, 80), key);
  deepStrictEqual(expandIpv6("1:2:3:4:5:6:7:8"), [1, 2, 3, 4, 5, 6, 7, 8]);
});

Deno.test("callerOf() counts IPv6 by /64, and believes a header only where it is told to", () => {
  const from = (hostname: string) => ({ transport: "tcp" as const, hostname, port: 7 });
  const request = new Request("http://a/ws", { headers: { "x-client": "10.9.9.9, 2001:db8:1:2:3:4:5:6" } });
  const address = (hostname: string, header?: string) => callerOf(request, from(hostname), header).address;
  strictEqual(address("10.0.0.1"), "10.0.0.1");
  strictEqual(address("::ffff:10.0.0.1"), "10.0.0.1");
  strictEqual(address("2001:db8:1:2::9"), address("2001:0db8:0001:0002:ffff::"));
  ok(address("2001:db8:1:2::9") !== address("2001:db8:1:3::9"));
  strictEqual(address("10.0.0.1", "x-client"), address("2001:db8:1:2::"));
  strictEqual(address("10.0.0.1", "x-absent"), "10.0.0.1");
  for (
    const odd of [
      "",
      ",",
      "a".repeat(10_000),
      ":::::::::",
      "::::ffff",
      "%%%",
      "1:2:3:4:5:6:7:8:9:10",
      "[::1]",
    ]
  ) {
    const headers = { "x-client": odd };
    strictEqual(
      typeof callerOf(new Request("http://a/", { headers }), from("10.0.0.1"), "x-client").address,
      "string",
    );
  }
});

Deno.test("libc finds a peer by the spelling of the runtime, over IPv4, IPv6 and IPv4 mapped into IPv6", async () => {
  using stack = new DisposableStack();
  const libc = openLibc();
  ok(libc !== undefined);
  stack.defer(() => libc.close());
  for (
    const [listen, connect] of [["127.0.0.1", "127.0.0.1"], ["::1", "::1"], ["::", "127.0.0.1"], [
      "::",
      "::1",
    ]] as const
  ) {
    const listener = stack.use(Deno.listen({ hostname: listen, port: 0 }));
    const { port } = listener.addr as Deno.NetAddr;
    const peers: Peers = new Peers(libc, () => port);
    const [here, there] = await Promise.all([Deno.connect({ hostname: connect, port }), listener.accept()]);
    stack.use(here);
    stack.use(there);
    const remote = there.remoteAddr as Deno.NetAddr;
    const key = peerKey(remote.hostname, remote.port);
    const seen: string[] = [];
    peers.visitAll((peer) => void seen.push(peer.key));
    deepStrictEqual(seen, [key]);
    const fd = peers.fdOf(key)!;
    strictEqual(libc.localPortOf(fd), port);
    await here.write(new Uint8Array(1_000));
    await pause(20);
    strictEqual(libc.bytesReceived(fd), 1_000);
    libc.cut(fd);
    strictEqual(await here.read(new Uint8Array(1)).catch(() => null), null);
    strictEqual(peers.fdOf(key), undefined);
  }
  const { limit, lowestFree } = libc.descriptors();
  ok(lowestFree > 2 && lowestFree < limit);
  strictEqual(libc.peerOf(99_999), undefined);
  strictEqual(libc.localPortOf(-1), undefined);
  strictEqual(libc.bytesReceived(99_999), 0);
  libc.cut(99_999);
});

Deno.test("Peers goes round in pieces, and forgets who has gone and not who came meanwhile", () => {
  const table = new Map<number, string>();
  const libc = { peerOf: (fd: number) => table.get(fd), localPortOf: () => 80 };
  const peers = new Peers(libc as never, () => 80);
  for (let fd = 0; fd < 5_000; fd++) table.set(fd, `peer ${fd}`);
  const seen = new Set<string>();
  let rounds = 0;
  for (let turn = 0; turn < 100_000 && rounds === 0; turn++) {
    if (peers.visit(0, ({ key }) => void seen.add(key))) rounds++;
  }
  strictEqual(seen.size, 5_000);
  strictEqual(peers.fdOf("peer 4999"), 4_999);
  table.delete(7);
  table.set(8, "another");
  peers.asked("soon here");
  peers.visitAll(() => {});
  strictEqual(peers.fdOf("peer 7"), undefined);
  strictEqual(peers.fdOf("peer 8"), undefined);
  strictEqual(peers.fdOf("another"), 8);
  table.set(10_000, "far away"); // the kernel gives low ones: this cannot be
  table.set(5_300, "soon here");
  const asked: (number | undefined)[] = [];
  peers.visitAll(({ key, askedAt }) => key === "soon here" && asked.push(askedAt));
  ok(asked[0] !== undefined);
});

Deno.test("the warden is on under the permissions of `deno task start`", async () => {
  await using target = await startTarget();
  deepStrictEqual(target.events("warden.off"), []);
  // and it works: a peer that says nothing is cut
  using silent = await RawClient.connect(target.port);
  await target.untilCuts("no request in time", 1, 15_000);
  await target.untilGone([silent], 2_000);
  target.requireNoFaults();
});

Deno.test("without FFI the warden is off and says so, and the node serves", async () => {
  await using database = await createTestDatabase();
  const [verb = "", ...words] = (await taskCommand("start")).filter((word) =>
    !word.startsWith("--allow-ffi")
  );
  const command = [Deno.execPath(), verb, "--no-prompt", ...words];
  await using node = await startNodeProcess(database.url, { DATABASE_POOL_SIZE: "2" }, command);
  strictEqual(node.lines.filter((line) => line.includes('"warden.off"')).length, 1);
  const client = await RawClient.open(Number(new URL(node.url).port));
  await client.write(frame({ opcode: OPCODE.text, payload: new Uint8Array(2 * MIB) }));
  strictEqual((await client.untilEnded()).code, 1009);
  client.close();
});

Deno.test("whoever comes from an address that was just given up is not cut in its place", async () => {
  const table = new Map([[5, "a|1"]]);
  const cuts: number[] = [];
  const libc = {
    peerOf: (fd: number) => table.get(fd),
    localPortOf: () => 80,
    bytesReceived: () => 0,
    isListening: () => false,
    narrow: () => {},
    send: () => true,
    descriptors: () => ({ limit: 10_000, lowestFree: 10 }),
    cut: (fd: number) => void cuts.push(fd),
    close: () => {},
  };
  const log = createLog("error", () => {});
  using warden = new SocketWarden({ port: () => 80, maxFrameBytes: MIB, log, libc, rssBytes: () => 0 });
  warden.greeted("a|1");
  const first = warden.watch({ peer: "a|1", messages: () => 0, messageBytes: () => 0 });
  first.closing();
  const second = warden.watch({ peer: "a|1", messages: () => 0, messageBytes: () => 0 });
  first.end();
  await pause(2_500);
  deepStrictEqual(cuts, []);
  second.closing();
  await pause(2_500);
  deepStrictEqual(cuts.slice(0, 1), [5]);
  second.end();
});

Deno.test("tooManyIdle() takes who has been idle longest, of an address that has too many", () => {
  const peer = (key: string, askedAt: number | undefined) => ({ key, fd: 5, since: 0, askedAt });
  const crowd = (count: number, address: string, askedAt: (i: number) => number | undefined) =>
    Array.from({ length: count }, (_, i) => peer(`${address}|${i}`, askedAt(i)));
  const keysOf = (peers: { key: string }[]) => tooManyIdle(peers as never, 100_000).map(({ key }) => key);
  deepStrictEqual(keysOf(crowd(1_000, "10.0.0.1", () => 0)), []);
  deepStrictEqual(keysOf(crowd(1_003, "10.0.0.1", (i) => 2_000 - i)), [
    "10.0.0.1|1002",
    "10.0.0.1|1001",
    "10.0.0.1|1000",
  ]);
  // one /64 is one address; another address is not touched
  const v6 = [...crowd(600, "2001:db8:0:0:0:0:0:1", () => 1), ...crowd(401, "2001:db8:0:0:0:0:0:2", () => 2)];
  strictEqual(keysOf([...v6, ...crowd(1_000, "2001:db8:0:1:0:0:0:1", () => 0)]).length, 1);
  // who asked a short time ago is not cut, however many they are
  deepStrictEqual(keysOf(crowd(5_000, "10.0.0.1", () => 80_000)), []);
  deepStrictEqual(keysOf([...crowd(5_000, "10.0.0.1", () => 80_000), peer("10.0.0.1|9999", 1)]), [
    "10.0.0.1|9999",
  ]);
  deepStrictEqual(keysOf(crowd(5_000, "10.0.0.1", () => undefined)), []);
});

Deno.test("the warden cuts idle peers that are too many, and no sockets", async () => {
  const table = new Map<number, string>();
  for (let fd = 100; fd < 1_200; fd++) table.set(fd, `10.0.0.1|${fd}`);
  const cuts = new Set<number>();
  const libc = {
    peerOf: (fd: number) => table.get(fd),
    localPortOf: () => 80,
    bytesReceived: () => 0,
    isListening: () => false,
    narrow: () => {},
    send: () => true,
    descriptors: () => ({ limit: 10_000, lowestFree: 1_200 }),
    cut: (fd: number) => void (table.delete(fd) && cuts.add(fd)),
    close: () => {},
  };
  const log = createLog("error", () => {});
  const clock = performance.now;
  using warden = new SocketWarden({ port: () => 80, maxFrameBytes: MIB, log, libc, rssBytes: () => 0 });
  for (let fd = 100; fd < 1_200; fd++) warden.greeted(`10.0.0.1|${fd}`);
  const sockets = [100, 101].map((fd) =>
    warden.watch({ peer: `10.0.0.1|${fd}`, messages: () => 0, messageBytes: () => 0 })
  );
  try {
    await pause(600);
    strictEqual(cuts.size, 0);
    performance.now = () => clock.call(performance) + 31_000;
    for (let turn = 0; turn < 100 && cuts.size < 98; turn++) await pause(50);
  } finally {
    performance.now = clock;
  }
  strictEqual(cuts.size, 98);
  ok(!cuts.has(100) && !cuts.has(101));
  sockets.forEach((socket) => socket.end());
});
