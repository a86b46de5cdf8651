/** Ports of servers that go and come back: below those that the system hands out, so that nobody takes them meanwhile. */
const [LOWEST, COUNT] = [20_000, 10_000];
const taken = new Set<number>();

export function steadyPort(): number {
  for (let turn = 0; turn < 1_000; turn++) {
    const port = LOWEST + Math.floor(Math.random() * COUNT);
    if (taken.has(port) || !isFree(port)) continue;
    taken.add(port);
    return port;
  }
  throw new Error(`No port from ${LOWEST} on is free`);
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch {
    return false;
  }
}
