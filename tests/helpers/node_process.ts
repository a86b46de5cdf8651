/** A node as operators run it: a process of its own, with the permissions of `deno task start`. */
import { JWT_SECRET } from "./test_app.ts";

const ROOT = new URL("../../", import.meta.url);

export interface NodeProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  /** Lines of the log so far. */
  readonly lines: string[];
  kill(signal: Deno.Signal): void;
}

/** The words of a task of deno.json, so that a test runs what users run. */
export async function taskCommand(task: string): Promise<string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const words: string[] = tasks[task].command.split(" ");
  if (words[0] !== "deno") throw new Error(`The task ${task} does not run deno`);
  return words.slice(1);
}

export async function spawnTask(task: string, env: Record<string, string>): Promise<Deno.ChildProcess> {
  return new Deno.Command(Deno.execPath(), {
    args: await taskCommand(task),
    cwd: ROOT,
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: Deno.env.get("HOME") ?? "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Settles once it listens. */
export async function startNodeProcess(
  databaseUrl: string,
  env: Record<string, string> = {},
): Promise<NodeProcess> {
  const child = await spawnTask("start", {
    DATABASE_URL: databaseUrl,
    JWT_SECRET,
    PORT: "0",
    HOST: "127.0.0.1",
    ...env,
  });
  const lines: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const readers = [child.stdout, child.stderr].map((stream) =>
    readLines(stream, (line) => {
      lines.push(line);
      const port = /"event":"server.listening","port":(\d+)/.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
    })
  );
  void child.status.then(({ code }) =>
    reject(new Error(`The node ended with ${code}:\n${lines.join("\n")}`))
  );
  const port = await promise;
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid,
    status: child.status,
    lines,
    kill: (signal) => child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // it has ended
      }
      await child.status;
      await Promise.all(readers);
    },
  };
}

export async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (
    const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(take);
  }
  if (rest !== "") take(rest);
}
