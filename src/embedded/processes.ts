/**
 * Processes of this machine, seen from outside. A pid alone names nobody, since the system hands it out
 * again: pid and `birth` together name one process for ever. A zombie counts as gone; in a container nobody
 * may ever reap it. Linux is asked through /proc (slim images have no `ps`), other systems through `ps`.
 */
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 20;

export interface ProcessFacts {
  readonly pid: number;
  /** Differs between any two processes that ever had this pid. */
  readonly birth: string;
  /** The command line, parts joined by a space. */
  readonly command: string;
  /** The working directory, where the system tells us. */
  readonly folder: string | undefined;
}

/** The living process with this pid, or nothing. */
export async function findProcess(pid: number): Promise<ProcessFacts | undefined> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return Deno.build.os === "linux" ? await findByProc(pid) : await findByPs(pid);
}

/** Whether exactly this process still runs. */
export async function isRunning(known: { pid: number; birth: string }): Promise<boolean> {
  return (await findProcess(known.pid))?.birth === known.birth;
}

/** True when the process has ended within the time. */
export async function waitForEnd(known: { pid: number; birth: string }, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (await isRunning(known)) {
    if (performance.now() >= until) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Sends a signal; false when the process had already ended. */
export function signal(pid: number, name: Deno.Signal): boolean {
  try {
    Deno.kill(pid, name);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function findByProc(pid: number): Promise<ProcessFacts | undefined> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => undefined);
  if (stat === undefined) return undefined;
  // The name in parentheses may hold anything, spaces and parentheses too: read after the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTicks] = [fields[0], fields[19]];
  if (state === "Z" || state === "X" || startTicks === undefined) return undefined;
  const boot = await Deno.readTextFile("/proc/sys/kernel/random/boot_id").catch(() => "");
  const command = await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "");
  return {
    pid,
    birth: `${boot.trim()}/${startTicks}`,
    command: command.replaceAll("\0", " ").trim(),
    folder: await Deno.readLink(`/proc/${pid}/cwd`).catch(() => undefined),
  };
}

async function findByPs(pid: number): Promise<ProcessFacts | undefined> {
  const ps = await new Deno.Command("/bin/ps", {
    args: ["-ww", "-p", String(pid), "-o", "stat=,lstart=,command="],
    env: { LC_ALL: "C" },
    stderr: "null",
  }).output();
  // "Ss   Sat Nov 22 10:11:12 2025     /path/to/postgres -D …"
  const line = /^\s*(\S+)\s+(\S+ +\S+ +\d+ +[\d:]+ +\d+)\s+(.*)$/m.exec(new TextDecoder().decode(ps.stdout));
  if (line === null || line[1]?.startsWith("Z")) return undefined;
  return { pid, birth: line[2] ?? "", command: line[3] ?? "", folder: undefined };
}
