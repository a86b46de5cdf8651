/** What the kernel tells of processes of ours: their children and their memory. */

export async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  return text.split(" ").filter((word) => word !== "").map(Number);
}

/** Resident memory; 0 once it has ended. */
export async function rssMiB(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024;
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
