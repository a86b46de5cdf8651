/** Clients that upload and fetch, as anybody would write them: fetch and FormData. */
import { ok } from "node:assert/strict";
import type { Json } from "./doors.ts";
import { startTestApp, type TestApp, type TestAppOptions } from "./test_app.ts";

export interface Fetched {
  status: number;
  headers: Headers;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface Answered {
  status: number;
  body: Json;
  headers: Headers;
}

/** A node with a folder for files, which is gone afterwards. */
export class FilesApp implements AsyncDisposable {
  readonly app: TestApp;
  readonly folder: string;
  readonly #parts: AsyncDisposableStack;

  constructor(app: TestApp, folder: string, parts: AsyncDisposableStack) {
    this.app = app;
    this.folder = folder;
    this.#parts = parts;
  }

  async as(user: string): Promise<FileClient> {
    const client = new FileClient(this.app.url, user, await this.app.tokenFor(user));
    await client.get("/api/chat/rooms"); // so that others can name them
    return client;
  }

  /** Files that lie in the folder, unfinished ones too. */
  async stored(): Promise<string[]> {
    return await filesIn(this.folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

export async function filesIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) found.push(...await filesIn(`${folder}/${name}`));
    else if (!name.endsWith(".lock")) found.push(name);
  }
  return found;
}

/** `env` may name another store, or a scanner; without one nothing is scanned. */
export async function startFilesApp(options: TestAppOptions & { folder?: string } = {}): Promise<FilesApp> {
  await using parts = new AsyncDisposableStack();
  const folder = options.folder ?? await Deno.makeTempDir({ prefix: "scroll-chat-files-" });
  if (options.folder === undefined) parts.defer(() => Deno.remove(folder, { recursive: true }));
  const app = parts.use(await startTestApp({ ...options, env: { FILES_DIR: folder, ...options.env } }));
  return new FilesApp(app, folder, parts.move());
}

export class FileClient {
  readonly userId: string;
  readonly token: string;
  readonly #url: string;

  constructor(url: string, userId: string, token: string) {
    this.#url = url;
    this.userId = userId;
    this.token = token;
  }

  /** A room of its own, with these members. */
  async room(...members: FileClient[]): Promise<string> {
    const { body } = await this.send("POST", "/api/chat/rooms", { name: "files" });
    for (const member of members) await member.send("POST", `/api/chat/rooms/${body.room.id}/join`, {});
    return body.room.id;
  }

  async send(method: string, path: string, body?: unknown): Promise<Answered> {
    return await this.#ask(path, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
  }

  get(path: string): Promise<Answered> {
    return this.send("GET", path);
  }

  /** Fields in the order given; a Blob is a file. */
  async form(
    path: string,
    fields: [name: string, value: string | Blob, fileName?: string][],
  ): Promise<Answered> {
    const form = new FormData();
    for (const [name, value, fileName] of fields) {
      if (typeof value === "string") form.append(name, value);
      else form.append(name, value, fileName ?? "a.bin");
    }
    return await this.#ask(path, { method: "POST", body: form });
  }

  /** One file for a room; the attachment. */
  async upload(roomId: string, bytes: BlobPart, name = "notes.txt", type = ""): Promise<Json> {
    const { status, body } = await this.form("/api/chat/files", [["roomId", roomId], [
      "file",
      new Blob([bytes], { type }),
      name,
    ]]);
    ok(status === 201, `${status} ${JSON.stringify(body)}`);
    return body.attachment;
  }

  /** A message with files that are there. */
  async attach(roomId: string, ...attachmentIds: string[]): Promise<Json> {
    const { status, body } = await this.send("POST", "/api/chat/messages", { roomId, attachmentIds });
    ok(status === 201, `${status} ${JSON.stringify(body)}`);
    return body.message;
  }

  async fetch(fileId: string, headers: Record<string, string> = {}, method = "GET"): Promise<Fetched> {
    const response = await fetch(`${this.#url}/api/chat/files/${fileId}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...headers },
    });
    return { status: response.status, headers: response.headers, bytes: await response.bytes() };
  }

  /** Without a token. */
  async follow(link: string, headers: Record<string, string> = {}): Promise<Fetched> {
    const response = await fetch(new URL(link, this.#url), { headers });
    return { status: response.status, headers: response.headers, bytes: await response.bytes() };
  }

  async #ask(path: string, init: RequestInit): Promise<Answered> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${this.token}`);
    const response = await fetch(this.#url + path, { ...init, headers });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
  }
}
