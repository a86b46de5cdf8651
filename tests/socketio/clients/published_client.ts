/**
 * The example of the specification, run as its readers would run it: with the published socket.io-client, under Deno,
 * under Node, and in Chromium. Nothing of it is changed but the address, the token and the room.
 */
import { join } from "node:path";
import { SpeakingChild } from "../../helpers/child_process.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const EXAMPLE = new URL("spec_example.txt", import.meta.url);

export interface Scene {
  url: string;
  token: string;
  roomId: string;
}

/** What it has printed so far; it runs until it is disposed. */
export interface RunningExample extends AsyncDisposable {
  lines: string[];
}

/** `name` as deno.json has it. */
export async function versionOf(name: string): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const version = imports[name].split("@").at(-1);
  if (version === undefined) throw new Error(`deno.json does not name ${name}`);
  return version;
}

const packageOf = (version: string): string =>
  join(ROOT, `node_modules/.deno/socket.io-client@${version}/node_modules/socket.io-client`);

async function exampleFor({ url, token, roomId }: Scene): Promise<string> {
  const text = await Deno.readTextFile(EXAMPLE);
  return text.replace("http://localhost:3001", url).replace("your-jwt-token", token)
    .replaceAll("room-id", roomId);
}

/** `runtime`: "deno" or "node". */
export async function runExample(
  runtime: "deno" | "node",
  version: string,
  scene: Scene,
): Promise<RunningExample> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(join(folder, "node_modules"));
  await Deno.symlink(packageOf(version), join(folder, "node_modules/socket.io-client"));
  const file = join(folder, "example.mjs");
  await Deno.writeTextFile(file, await exampleFor(scene));
  const manifest = { type: "module", dependencies: { "socket.io-client": version } };
  await Deno.writeTextFile(join(folder, "package.json"), JSON.stringify(manifest));
  const [program, args] = runtime === "node"
    ? ["node", [file]]
    : [Deno.execPath(), ["run", "-A", "--quiet", "--node-modules-dir=manual", file]];
  return run(program, args, folder);
}

/** In the page of a server of its own, whose origin the node has to allow; what it prints comes back to that. */
export async function runInBrowser(
  chromium: string,
  version: string,
  scene: Scene,
  page: ExamplePage,
): Promise<RunningExample> {
  const folder = await Deno.makeTempDir();
  const script = (await exampleFor(scene)).replace(/^import .*\n/, "");
  const browser = run(chromium, [
    ...["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"],
    `--user-data-dir=${folder}`,
    page.open(await Deno.readTextFile(join(packageOf(version), "dist/socket.io.min.js")), script),
  ], folder);
  return { lines: page.lines, [Symbol.asyncDispose]: () => browser[Symbol.asyncDispose]() };
}

function run(program: string, args: string[], folder: string): RunningExample {
  const command = new Deno.Command(program, {
    args,
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const child = new SpeakingChild(command.spawn());
  return {
    lines: child.lines,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true }).catch(() => {}); // a browser's children may still write
    },
  };
}

/** A page as an application would have it, on an origin of its own. */
export class ExamplePage implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #html = "";

  constructor() {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
      if (request.method === "GET") {
        return new Response(this.#html, { headers: { "content-type": "text/html; charset=utf-8" } });
      }
      this.lines.push(await request.text());
      return new Response();
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Its address. */
  open(library: string, script: string): string {
    const report = "console.log = (...said) => fetch('/', { method: 'POST', body: said.map((each) => " +
      "typeof each === 'string' ? each : JSON.stringify(each)).join(' ') });";
    this.#html =
      `<!doctype html><script>${library}</script><script>${report}</script><script>${script}</script>`;
    return `${this.origin}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
