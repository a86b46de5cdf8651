/** Nodes that die, are deployed, stand still, or live in another time. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { ensureCommand } from "../helpers/debian.ts";
import { brokenNode, lasts, type MatrixRow } from "./matrix_row.ts";
import { signal } from "./processes.ts";
import type { World } from "./world.ts";

const pausedRow = (seconds: number, isBounded: boolean): MatrixRow => ({
  name: `F11 a node stands still for ${seconds} s`,
  isBounded,
  fault: async (world) => {
    const { pid = 0 } = brokenNode(world).process ?? {};
    signal(pid, "SIGSTOP");
    await lasts(seconds);
    signal(pid, "SIGCONT");
  },
});

/** The clock of one node jumps, and stays wrong; what runs by the monotonic clock does not notice. */
function clockRow(shift: string, isBounded: boolean): MatrixRow {
  let file = "";
  return {
    name: `F12 the clock of one node jumps by ${shift}`,
    isBounded,
    prepare: async () => {
      await ensureCommand("faketime", "faketime");
      file = await Deno.makeTempFile({ prefix: "scroll-chat-clock-" });
      await Deno.writeTextFile(file, "+0");
    },
    options: {
      envOf: (node): Record<string, string> =>
        node !== 1 ? {} : {
          LD_PRELOAD: `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketime.so.1`,
          FAKETIME_TIMESTAMP_FILE: file,
          FAKETIME_CACHE_DURATION: "1",
          FAKETIME_DONT_FAKE_MONOTONIC: "1",
        },
    },
    fault: async () => {
      await Deno.writeTextFile(file, shift);
      await lasts(3); // wrong from here to the end of the row
    },
    expect: async (world) => {
      await expectShift(world, shift);
      await Deno.remove(file);
    },
  };
}

/** What the node says as it goes is said in its own time. Ids and headers do not go back with a clock. */
async function expectShift(world: World, shift: string): Promise<void> {
  const node = brokenNode(world);
  strictEqual(await node.terminate(), 0);
  const { at } = JSON.parse(node.lines.findLast((line) => line.includes('"server.draining"')) ?? "{}");
  strictEqual(Math.round((Date.parse(at) - Date.now()) / 3_600_000), Number.parseInt(shift));
}

/** Everybody was told to go, and closed for it. */
function expectDrained({ publishers, receivers }: World): void {
  const links = [...publishers, ...receivers].map(({ link }) => link);
  const closes = links.flatMap((link) => link.closes);
  const drainings = links.reduce((sum, link) => sum + link.drainings, 0);
  ok(closes.length >= links.length / 3);
  deepStrictEqual(closes.filter(({ code }) => code !== 1012), []);
  ok(drainings >= closes.length - 1, `${drainings} of ${closes.length} were told`); // one may just have come
}

export const nodeRows: MatrixRow[] = [
  {
    name: "F1 kill -9 of a node, back after 1 s",
    isBounded: true,
    fault: async (world) => {
      await brokenNode(world).kill();
      await lasts(1);
      await brokenNode(world).start();
    },
  },
  {
    name: "F1 kill -9 of a node, never back",
    isBounded: false,
    fault: (world) => brokenNode(world).kill(),
  },
  {
    name: "F2 SIGTERM of one node",
    isBounded: false,
    fault: async (world) => strictEqual(await brokenNode(world).terminate(), 0),
    expect: expectDrained,
  },
  {
    name: "F2 rolling restart of 3 nodes",
    isBounded: true,
    fault: async (world) => {
      for (const node of world.nodes) {
        strictEqual(await node.terminate(), 0);
        await node.start();
      }
    },
    expect: expectDrained,
  },
  pausedRow(5, false),
  pausedRow(60, false),
  clockRow("+2h", true),
  clockRow("-2h", false),
];
