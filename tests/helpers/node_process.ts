/** A node as operators run it: a process of its own, with the permissions of `deno task start`, or by another command. */
import { SpeakingChild } from "./child_process.ts";
import { JWT_SECRET } from "./test_app.ts";

const ROOT = new URL("../../", import.meta.url);

export type NodeProcess = SpeakingChild & { readonly url: string };

/** The words of a task of deno.json, so that a test runs what users run. */
export async function taskCommand(task: string): Promise<string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const words: string[] = tasks[task].command.split(" ");
  if (words[0] !== "deno") throw new Error(`The task ${task} does not run deno`);
  return words.slice(1);
}

export async function spawnTask(task: string, env: Record<string, string>): Promise<Deno.ChildProcess> {
  return spawnCommand([Deno.execPath(), ...await taskCommand(task)], env);
}

/** At the root of the repository; of our own environment it has no more than programs need. */
function spawnCommand([program = "", ...args]: string[], env: Record<string, string>): Deno.ChildProcess {
  return new Deno.Command(program, {
    args,
    cwd: ROOT,
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: Deno.env.get("HOME") ?? "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Settles once it listens. By the task's command, unless there is another: program, then words. */
export async function startNodeProcess(
  databaseUrl: string,
  env: Record<string, string> = {},
  command?: string[],
): Promise<NodeProcess> {
  const own = { DATABASE_URL: databaseUrl, JWT_SECRET, PORT: "0", HOST: "127.0.0.1", ...env };
  await using parts = new AsyncDisposableStack();
  const child = parts.use(
    new SpeakingChild(command === undefined ? await spawnTask("start", own) : spawnCommand(command, own)),
  );
  const [, port] = await child.untilSaid(/"event":"server.listening","port":(\d+)/);
  parts.move();
  return Object.assign(child, { url: `http://127.0.0.1:${port}` });
}
