/**
 * An S3 server of tests: s3rver from npm as a child, which keeps objects in a folder, and a front before it. The front
 * injects failures, takes a body whole before it hands it on (as S3 does: half an object is never stored), and does what
 * s3rver lacks: it checks signatures, and lists and ends uploads of parts.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as forward,
  type Server,
  type ServerResponse,
} from "node:http";
import { join } from "node:path";
import type { S3FilesOptions } from "../../src/files/s3_files.ts";
import { SpeakingChild } from "./child_process.ts";
import { freePort } from "./redis.ts";
import { isSigned } from "./s3_signature.ts";

/** What happens to requests that fit, for as many as `times` says. */
export interface S3Fault {
  /** `PUT part`, `PUT`, `POST begin`, `POST join`, `DELETE`, `DELETE upload`, `GET`, `GET list`, `HEAD`. */
  step: string;
  is:
    | { status: number; code?: string }
    /** Cut after so many bytes of the request's body have come. */
    | { cutAfter: number }
    /** Done, but the answer is lost. */
    | "lost_answer"
    /** Half of the answer, then the end of the connection. */
    | "half_answer"
    | { delayMs: number };
  times: number;
}

interface BackAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

const BUCKET = "files";
/** A key of tests of this server's; s3rver knows no other. */
const OWNER = "S3RVER";

export class S3Server implements AsyncDisposable {
  readonly faults: S3Fault[] = [];
  /** Steps in the order in which they came. */
  readonly steps: string[] = [];
  readonly #folder: string;
  readonly #backPort: number;
  #child: SpeakingChild | undefined;
  #front: Server | undefined;
  #port = 0;

  private constructor(folder: string, backPort: number) {
    this.#folder = folder;
    this.#backPort = backPort;
  }

  static async start(): Promise<S3Server> {
    const server = new S3Server(await Deno.makeTempDir({ prefix: "scroll-chat-s3-" }), freePort());
    await server.restart();
    server.#front = createServer((request, response) => {
      server.#answer(request, response).catch(() => request.socket.destroy());
    });
    await new Promise<void>((resolve) => server.#front?.listen(0, "127.0.0.1", resolve));
    const address = server.#front.address();
    server.#port = typeof address === "object" && address !== null ? address.port : 0;
    return server;
  }

  /** As operators name a bucket. */
  env(): Record<string, string> {
    const { endpoint, bucket, accessKeyId, secretAccessKey, prefix } = this.options();
    return {
      FILES_DIR: "",
      S3_ENDPOINT: endpoint,
      S3_BUCKET: bucket,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      S3_PREFIX: prefix,
      S3_PATH_STYLE: "true",
    };
  }

  options(more: Partial<S3FilesOptions> = {}): S3FilesOptions {
    return {
      endpoint: `http://127.0.0.1:${this.#port}`,
      bucket: BUCKET,
      region: "auto",
      accessKeyId: OWNER,
      secretAccessKey: OWNER,
      prefix: "attachments/",
      pathStyle: true,
      timeoutMs: 5_000,
      backoffMs: 5,
      ...more,
    };
  }

  /** Everything that lies in the bucket: objects and open uploads. */
  async contents(): Promise<{ objects: string[]; uploads: string[] }> {
    const objects: string[] = [];
    const walk = async (folder: string, path: string): Promise<void> => {
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        if (isDirectory && name !== "._S3rver_uploads") await walk(join(folder, name), `${path}${name}/`);
        else if (name.endsWith("._S3rver_object")) {
          objects.push(path + name.slice(0, -"._S3rver_object".length));
        }
      }
    };
    await walk(join(this.#folder, BUCKET), "");
    return { objects, uploads: (await this.#uploads()).map(({ id }) => id) };
  }

  async restart(): Promise<void> {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--quiet", new URL("./s3rver_main.ts", import.meta.url).pathname],
        ...[String(this.#backPort), this.#folder, BUCKET],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = new SpeakingChild(child);
    await this.#child.untilSaid(/^up$/);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await child?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const front = this.#front;
    const closed = new Promise((resolve) => front?.close(resolve));
    front?.closeAllConnections();
    await closed;
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true }).catch(() => {});
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://front");
    const step = stepOf(request.method ?? "", url);
    this.steps.push(step);
    const fault = this.faults.find((each) => each.step === step && each.times > 0);
    if (fault !== undefined) fault.times--;
    const is = fault?.is;
    if (typeof is === "object" && "delayMs" in is) {
      await new Promise((resolve) => setTimeout(resolve, is.delayMs));
    }
    const body: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of request) {
      body.push(piece);
      bytes += piece.length;
      if (typeof is === "object" && "cutAfter" in is && bytes >= is.cutAfter) {
        return void request.socket.destroy();
      }
    }
    const whole = Buffer.concat(body);
    const { method = "", url: path = "", headers } = request;
    if (!isSigned({ method, url: path, headers, body: whole }, OWNER)) {
      return refuse(response, 403, "SignatureDoesNotMatch");
    }
    if (typeof is === "object" && "status" in is) return refuse(response, is.status, is.code);
    if (step === "GET uploads") return void response.end(await this.#listUploads());
    if (step === "DELETE upload") return await this.#endUpload(url, response);
    if (body.length > 0) await this.#keepFolder(url.pathname);
    const answer = step === "GET list"
      ? await this.#page(url, headers)
      : await this.#ask(method, path, headers, whole);
    if (is === "lost_answer") return void request.socket.destroy();
    response.writeHead(answer.status, answer.headers);
    if (is !== "half_answer") return void response.end(answer.body);
    response.write(answer.body.subarray(0, answer.body.length >> 1), () => request.socket.destroy());
  }

  /** s3rver removes a folder with its last object, under a put that is about to write there, and ends itself by that. */
  async #keepFolder(path: string): Promise<void> {
    const folder = join(this.#folder, path, "..");
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(join(folder, ".keep"), "");
  }

  /** s3rver's own tokens need a cipher that is gone: it is asked for everything, and a page is cut out of that. */
  async #page({ pathname, searchParams: query }: URL, headers: IncomingHttpHeaders): Promise<BackAnswer> {
    const all = `${pathname}?list-type=2&prefix=${encodeURIComponent(query.get("prefix") ?? "")}`;
    const answer = await this.#ask("GET", all, headers, Buffer.alloc(0));
    const [head = "", ...entries] = answer.body.toString().split("<Contents>");
    const first = Number(query.get("continuation-token") ?? 0);
    const next = first + Number(query.get("max-keys") ?? 1_000);
    const page = entries.slice(first, next).map((entry) => `<Contents>${entry}`).join("");
    const isTruncated = next < entries.length;
    const text = head.replace(/<IsTruncated>\w+</, `<IsTruncated>${isTruncated}<`) + page +
      (isTruncated ? `<NextContinuationToken>${next}</NextContinuationToken>` : "");
    return { ...answer, headers: {}, body: Buffer.from(text) };
  }

  /** With all headers as they came. */
  #ask(method: string, path: string, headers: IncomingHttpHeaders, body: Buffer): Promise<BackAnswer> {
    return new Promise((resolve, reject) => {
      const back = forward(
        { hostname: "127.0.0.1", port: this.#backPort, method, path, headers, agent: false },
        async (answer) => {
          const parts: Uint8Array[] = [];
          try {
            for await (const part of answer) parts.push(part);
            resolve({
              status: answer.statusCode ?? 500,
              headers: answer.headers,
              body: Buffer.concat(parts),
            });
          } catch (error) {
            reject(error);
          }
        },
      );
      back.on("error", reject);
      back.end(body);
    });
  }

  async #uploads(): Promise<{ id: string; key: string; begunAt: Date }[]> {
    const folder = join(this.#folder, BUCKET, "._S3rver_uploads");
    const found: { id: string; key: string; begunAt: Date }[] = [];
    try {
      for await (const { name } of Deno.readDir(folder)) {
        const file = join(folder, name, "key");
        const info = await Deno.stat(file);
        found.push({ id: name, key: await Deno.readTextFile(file), begunAt: info.mtime ?? new Date() });
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return found;
  }

  async #listUploads(): Promise<string> {
    const entries = (await this.#uploads()).map(({ id, key, begunAt }) =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${begunAt.toISOString()}</Initiated></Upload>`
    );
    return `<ListMultipartUploadsResult>${entries.join("")}</ListMultipartUploadsResult>`;
  }

  async #endUpload(url: URL, response: ServerResponse): Promise<void> {
    const id = url.searchParams.get("uploadId") ?? "";
    const isOpen = (await this.#uploads()).some((upload) => upload.id === id);
    if (isOpen) {
      await Deno.remove(join(this.#folder, BUCKET, "._S3rver_uploads", id), { recursive: true });
    }
    if (!isOpen) return refuse(response, 404, "NoSuchUpload");
    response.writeHead(204);
    response.end();
  }
}

function refuse(response: ServerResponse, status: number, code = "InternalError"): void {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(`<Error><Code>${code}</Code></Error>`);
}

function stepOf(method: string, { searchParams: query }: URL): string {
  if (query.has("partNumber")) return "PUT part";
  if (query.has("uploadId")) return method === "DELETE" ? "DELETE upload" : "POST join";
  if (query.has("uploads")) return method === "GET" ? "GET uploads" : "POST begin";
  return query.has("list-type") ? "GET list" : method;
}
