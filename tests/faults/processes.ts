/** What the kernel tells of processes of ours: their children, memory and processor time. */

export async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  return text.split(" ").filter((word) => word !== "").map(Number);
}

/** Resident memory; 0 once it has ended. */
export async function rssMiB(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024;
}

/** Linux counts processor time so often a second. */
const TICKS_PER_S = 100;

/** So far, user and system. */
export function cpuSeconds(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // its name may hold blanks
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

export function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // it has ended
  }
}

/** Settles when it runs no more, whether somebody has asked for its status or not. */
export async function untilEnded(pid: number): Promise<void> {
  for (let turn = 0; turn < 500; turn++) {
    const state = /^State:\s+(\w)/m.exec(await Deno.readTextFile(`/proc/${pid}/status`).catch(() => ""))?.[1];
    if (state === undefined || state === "Z" || state === "X") return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`The process ${pid} does not end`);
}
