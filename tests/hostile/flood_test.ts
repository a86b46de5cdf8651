/** Messages without end: fragments, frames that claim to be huge, and many sockets that each hold a little. */
import { ok } from "node:assert/strict";
import { signToken } from "../helpers/test_app.ts";
import { frame, joinBytes, OPCODE, RawClient } from "../helpers/raw_client.ts";
import { MIB, pause, RSS_MARGIN_BYTES, startTarget, type Target } from "./target.ts";

interface Flood {
  name: string;
  sockets: number;
  signedIn: boolean;
  /** All together; who has not been cut by then stops. */
  mib: number;
  /** Sent first, then again and again. */
  first: Uint8Array;
  more: Uint8Array;
}

const chars = (count: number) => new Uint8Array(count).fill(97);
const fragments = (bytes: number, times = 1) => ({
  first: frame({ fin: false, payload: chars(bytes) }),
  more: joinBytes(
    ...new Array(times).fill(frame({ opcode: OPCODE.continuation, fin: false, payload: chars(bytes) })),
  ),
});
const huge = (claimed: number) => ({
  first: frame({ opcode: OPCODE.binary, claimedLength: BigInt(claimed), payload: chars(64) }),
  more: chars(256 * 1024),
});

const FLOODS: Flood[] = [
  { name: "fragments from one socket", sockets: 1, signedIn: true, mib: 600, ...fragments(60_000) },
  {
    name: "fragments from one anonymous socket",
    sockets: 1,
    signedIn: false,
    mib: 600,
    ...fragments(60_000),
  },
  { name: "fragments from 20 sockets", sockets: 20, signedIn: true, mib: 600, ...fragments(60_000) },
  { name: "fragments from 200 sockets", sockets: 200, signedIn: true, mib: 600, ...fragments(60_000) },
  {
    name: "fragments from 200 anonymous sockets",
    sockets: 200,
    signedIn: false,
    mib: 600,
    ...fragments(60_000),
  },
  {
    name: "small fragments from 150 sockets",
    sockets: 150,
    signedIn: true,
    mib: 450,
    ...fragments(1_000, 100),
  },
  { name: "tiny fragments from 20 sockets", sockets: 20, signedIn: true, mib: 100, ...fragments(10, 5_000) },
  {
    name: "fragments of 4 MiB from 50 sockets",
    sockets: 50,
    signedIn: true,
    mib: 300,
    ...fragments(4 * MIB),
  },
  { name: "frames of 60 MiB from 20 sockets", sockets: 20, signedIn: true, mib: 600, ...huge(60 * MIB) },
  {
    name: "frames of 63 MiB from 200 anonymous sockets",
    sockets: 200,
    signedIn: false,
    mib: 600,
    ...huge(63 * MIB),
  },
];
const WITHIN_MS = 10_000;

async function open(target: Target, flood: Flood): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let i = 0; i < flood.sockets; i++) {
    // each flood by others: those of the one before are kept out
    const who = `${FLOODS.indexOf(flood)}.${i % 20}`;
    const headers = { "x-client": `10.9.${who}` };
    const token = flood.signedIn ? { token: await signToken(`mallory ${who}`) } : {};
    clients.push(await RawClient.open(target.port, { headers, ...token }));
  }
  return clients;
}

async function pour(client: RawClient, flood: Flood, budget: { bytes: number }): Promise<void> {
  await client.write(flood.first);
  while (budget.bytes > 0 && await client.write(flood.more)) budget.bytes -= flood.more.length;
}

Deno.test("a flood of fragments or huge frames is cut, memory stays bounded, nobody else notices", async (t) => {
  await using target = await startTarget({ CLIENT_ADDRESS_HEADER: "x-client" });
  await using innocents = await target.innocents();
  await pause(500);
  const base = target.rss().now;
  for (const flood of FLOODS) {
    await t.step(flood.name, async () => {
      const cuts = target.cuts("a message without end");
      const clients = await open(target, flood);
      target.forgetPeak();
      const started = performance.now();
      const budget = { bytes: flood.mib * MIB };
      const giveUp = setTimeout(() => clients.forEach((client) => client.close()), WITHIN_MS);
      try {
        await Promise.all(clients.map((client) => pour(client, flood, budget)));
        const ms = performance.now() - started;
        await pause(200);
        ok(ms < WITHIN_MS, "The flood was neither cut nor swallowed");
        await pause(200); // the log comes by a pipe
        const cut = target.cuts("a message without end") - cuts;
        // who had its message as large as the bound of one socket is gone; together they may hold a bounded rest
        const perSocket = flood.mib / flood.sockets;
        if (perSocket > 20) ok(cut === flood.sockets, `${cut} cut`);
        ok(
          target.rss().peak < base + RSS_MARGIN_BYTES,
          `${(target.rss().peak - base) / MIB} MiB above the base`,
        );
      } finally {
        clearTimeout(giveUp);
        clients.forEach((client) => client.close());
      }
      await target.untilGone(clients, 5_000);
    });
  }
  await innocents.requireUnharmed();
  target.requireNoFaults();
});
