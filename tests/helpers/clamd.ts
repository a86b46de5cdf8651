/**
 * The real scanner of tests: Debian's clamd on a free port, in a folder of its own, with one signature made by hand
 * instead of the official database. As whoever runs the tests; ends with the test, killed by its pid.
 */
import { join } from "node:path";
import { TEST_VIRUS } from "../../src/files/test_virus.ts";
import { ServerProcess } from "./child_process.ts";
import { ensureCommand, findCommand } from "./debian.ts";
import { freePort } from "./redis.ts";

const NAME = "Eicar-Test-Signature";
/** What it says of its one find, at any place of a file of any type. */
export const SIGNATURE = `${NAME}.UNOFFICIAL`;
/** A chunk of INSTREAM. */
const CHUNK = 64 * 1024;

export class Clamd implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #process = new ServerProcess("clamd");

  private constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
  }

  static async start(): Promise<Clamd> {
    await ensureCommand("clamd", "clamav-daemon");
    const folder = await Deno.makeTempDir({ prefix: "scroll-chat-clamd-" });
    const clamd = new Clamd(freePort(), folder);
    const database = join(folder, "database");
    await Deno.mkdir(database);
    await Deno.writeTextFile(join(database, "test.ndb"), `${NAME}:0:*:${TEST_VIRUS().toHex()}\n`);
    await Deno.writeTextFile(join(folder, "clamd.conf"), clamd.#config(database));
    try {
      await clamd.restart();
    } catch (error) {
      await clamd[Symbol.asyncDispose]();
      throw error;
    }
    return clamd;
  }

  /** Limits as clamav-rest's image sets them. */
  #config(database: string): string {
    return [
      `DatabaseDirectory ${database}`,
      `TemporaryDirectory ${this.#folder}`,
      "TCPAddr 127.0.0.1",
      `TCPSocket ${this.port}`,
      "Foreground yes",
      "MaxThreads 4",
      "StreamMaxLength 25M",
      "MaxFileSize 25M",
      "MaxScanSize 100M",
      "SelfCheck 0",
      "OfficialDatabaseOnly no",
      "",
    ].join("\n");
  }

  async restart(): Promise<void> {
    const program = await findCommand("clamd");
    if (program === undefined) throw new Error("There is no clamd");
    await this.#process.start(
      program,
      [`--config-file=${join(this.#folder, "clamd.conf")}`],
      () => this.#ping(),
    );
  }

  async #ping(): Promise<boolean> {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    await connection.write(new TextEncoder().encode("zPING\0"));
    return (await lineOf(connection)) === "PONG";
  }

  /** Its own words: `OK`, `<signature> FOUND` or `<reason> ERROR`. */
  async scan(file: AsyncIterable<Uint8Array>): Promise<string> {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    await writeAll(connection, new TextEncoder().encode("zINSTREAM\0"));
    try {
      for await (const piece of file) {
        for (let at = 0; at < piece.length; at += CHUNK) {
          await writeChunk(connection, piece.subarray(at, at + CHUNK));
        }
      }
      await writeChunk(connection, new Uint8Array());
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) {
        throw error;
      }
    }
    return (await lineOf(connection)).replace(/^stream: /, "");
  }

  kill(signal?: Deno.Signal): Promise<void> {
    return this.#process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true }).catch(() => {});
  }
}

async function writeChunk(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  await writeAll(connection, length);
  await writeAll(connection, bytes);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}

/** Up to NUL or the end. */
async function lineOf(connection: Deno.Conn): Promise<string> {
  let text = "";
  for (const buffer = new Uint8Array(1_024);;) {
    const count = await connection.read(buffer);
    if (count === null) return text;
    text += new TextDecoder().decode(buffer.subarray(0, count));
    if (text.includes("\0")) return text.split("\0", 1)[0] ?? "";
  }
}
