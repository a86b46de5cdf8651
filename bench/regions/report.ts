/** The table of bench/results/regions.md. */
import type { Percentiles } from "../replay/percentiles.ts";

const FILE = new URL("../results/regions.md", import.meta.url);

export interface Figure extends Percentiles {
  what: string;
}

export async function report(
  figures: readonly Figure[],
  { roundTripMs, seconds, loadBefore }: { roundTripMs: number; seconds: number; loadBefore: number },
): Promise<void> {
  const share = (ms: number): string => `${(ms / roundTripMs).toFixed(2)} ×`;
  const lines = figures.map(({ what, count, p50, p99, max }) =>
    `| ${what} | ${count} | ${p50} | ${share(p50)} | ${p99} | ${share(p99)} | ${max} |`
  );
  const text = `# Regions

Written by \`deno task bench:regions\` on ${
    new Date().toISOString().slice(0, 10)
  }, everything on one machine of ${navigator.hardwareConcurrency}
cores: a primary, Redis and a node in the home region; a standby and nodes in the far one. Whatever goes from one to the
other is held for ${
    roundTripMs / 2
  } ms each way: ${roundTripMs} ms there and back, which \`×\` is a multiple of. Clients are
beside their node. Load of ${seconds} s. What else ran on the machine: a load average of ${
    loadBefore.toFixed(1)
  } before it began.

| | count | p50 ms | p50 | p99 ms | p99 | max ms |
| --- | --- | --- | --- | --- | --- | --- |
${lines.join("\n")}
`;
  await Deno.writeTextFile(FILE, text);
  await Deno.stdout.write(new TextEncoder().encode(text));
}
