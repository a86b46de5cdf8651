/**
 * What breaks in the middle of an upload or of a scan: client, node, scanner, store. Whatever it is, nothing is served that
 * was not scanned, the state is right once all is back, and the collector leaves no bytes that nobody knows of.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { until } from "../bus/until.ts";
import { ClamavRest } from "../helpers/clamav_rest.ts";
import { Clamd } from "../helpers/clamd.ts";
import { createTestDatabase, type TestDatabase } from "../helpers/databases.ts";
import { startNodeProcess } from "../helpers/node_process.ts";
import { mountSmallDisk } from "../helpers/small_disk.ts";
import { S3Server } from "../helpers/s3_server.ts";
import { signToken } from "../helpers/test_app.ts";
import { FileClient, type FilesApp, filesIn, startFilesApp } from "../helpers/uploads.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** Everything that is not in use is old enough. */
const AT_ONCE = { brokenOffMs: 0, strayMs: -60_000, strayPeriodMs: 0 };

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** A form whose file goes on until it is let go of; then it breaks off, or ends properly. */
class EndlessUpload {
  readonly answer: Promise<Response | undefined>;
  readonly #abort = new AbortController();
  #goOn: () => void = () => {};
  #sent = 0;

  constructor(url: string, token: string, roomId: string) {
    const head = encode(
      `--b\r\nContent-Disposition: form-data; name="roomId"\r\n\r\n${roomId}\r\n` +
        `--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n`,
    );
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        if (this.#sent >= 400_000) await new Promise<void>((resolve) => this.#goOn = resolve);
        if (this.#abort.signal.aborted) return controller.error(new Error("hung up"));
        controller.enqueue(this.#sent === 0 ? head : encode("all work and no play\n".repeat(2_000)));
        this.#sent += 40_000;
      },
    });
    this.answer = fetch(`${url}/api/chat/files`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "multipart/form-data; boundary=b" },
      body,
      signal: this.#abort.signal,
    }).catch(() => undefined);
  }

  async hangUp(): Promise<void> {
    this.#abort.abort();
    this.#goOn();
    await (await this.answer)?.body?.cancel().catch(() => {});
  }
}

async function rowsOf(database: TestDatabase): Promise<{ state: string; removed: boolean }[]> {
  const sql = postgres(database.url, { max: 1, fetch_types: false });
  try {
    return [
      ...await sql<{ state: string; removed: boolean }[]>`
      select state, removed_at is not null as removed from attachments order by created_at`,
    ];
  } finally {
    await sql.end();
  }
}

const isUploading = async (database: TestDatabase): Promise<boolean> =>
  (await rowsOf(database)).some(({ state, removed }) => state === "uploading" && !removed);

async function requireNothingKept(node: FilesApp): Promise<void> {
  await node.app.app.collector?.collect(AT_ONCE);
  deepStrictEqual(await node.stored(), []);
  deepStrictEqual((await rowsOf(node.app.database)).filter(({ removed }) => !removed), []);
}

Deno.test("a client that hangs up in the middle of its upload leaves nothing, and its place", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const uploads = Array.from({ length: 4 }, () => new EndlessUpload(node.app.url, ada.token, roomId));
  await until(async () => (await rowsOf(node.app.database)).length === 4, "four uploads");
  const { status, body, headers } = await ada.form("/api/chat/files", [["roomId", roomId], [
    "file",
    new Blob(["a"]),
  ]]);
  deepStrictEqual([status, body.error.code, headers.get("retry-after")], [503, "busy", "1"]);
  await Promise.all(uploads.map((upload) => upload.hangUp()));
  await until(async () => !await isUploading(node.app.database), "all four to be taken back");
  deepStrictEqual(await node.stored(), []);
  await ada.upload(roomId, "there is room again");
});

Deno.test("a node takes 16 bodies at once, and refuses others before it reads them", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const people = await Promise.all(Array.from({ length: 5 }, (_, i) => node.as(`user${i}`)));
  const roomId = await ada.room(...people);
  const uploads = people.slice(0, 4).flatMap((who) =>
    Array.from({ length: 4 }, () => new EndlessUpload(node.app.url, who.token, roomId))
  );
  await until(async () => (await rowsOf(node.app.database)).length === 16, "sixteen uploads");
  const oneMore = new EndlessUpload(node.app.url, people[4]?.token ?? "", roomId);
  const response = await oneMore.answer; // though its body never ends
  strictEqual(response?.status, 503);
  await oneMore.hangUp();
  await Promise.all(uploads.map((upload) => upload.hangUp()));
  await until(async () => !await isUploading(node.app.database), "all to be taken back");
});

Deno.test("a node that is killed in the middle of an upload leaves nothing that the next does not remove", async () => {
  await using database = await createTestDatabase();
  const folder = `.data/files/test-${crypto.randomUUID()}`;
  await using parts = new AsyncDisposableStack();
  parts.defer(() => Deno.remove(ROOT + folder, { recursive: true }));
  const node = parts.use(
    await startNodeProcess(database.url, { FILES_DIR: folder, CHAT_ENABLE_VIRUS_SCANNING: "false" }),
  );
  const ada = new FileClient(node.url, "ada", await signToken("ada"));
  const roomId = await ada.room();
  const kept = await ada.upload(roomId, "kept");
  await ada.attach(roomId, kept.id);
  const upload = new EndlessUpload(node.url, ada.token, roomId);
  await until(() => isUploading(database), "an upload");
  await until(async () => (await filesIn(ROOT + folder)).length === 2, "an unfinished file");
  await node.end();
  await upload.hangUp();
  await using next = await startFilesApp({ database, folder: ROOT + folder });
  await next.app.app.collector?.collect(AT_ONCE);
  strictEqual((await filesIn(ROOT + folder)).length, 1);
  deepStrictEqual((await rowsOf(database)).filter(({ removed }) => !removed).map(({ state }) => state), [
    "clean",
  ]);
  const got = await (await next.as("ada")).fetch(kept.id);
  strictEqual(new TextDecoder().decode(got.bytes), "kept");
});

Deno.test("a killed scanner leaves files waiting, also over a restart; any node scans them once it is back", async () => {
  await using clamd = await Clamd.start();
  await using scanner = new ClamavRest(clamd);
  await using database = await createTestDatabase();
  const folder = await Deno.makeTempDir();
  await using parts = new AsyncDisposableStack();
  parts.defer(() => Deno.remove(folder, { recursive: true }));
  const env = { CLAMAV_REST_URL: scanner.url };
  let fileId = "";
  {
    await using node = await startFilesApp({ database, folder, env });
    const ada = await node.as("ada");
    const roomId = await ada.room(await node.as("ben"));
    scanner.fault = { is: "silent" };
    const file = await ada.upload(roomId, "scan me");
    fileId = file.id;
    await until(() => scanner.asked > 0, "a scan");
    await clamd.kill(); // in the middle of it
    await scanner.down();
    await ada.attach(roomId, fileId);
    strictEqual((await ada.fetch(fileId)).status, 404);
    strictEqual((await ada.get(`/api/chat/files/${fileId}/state`)).body.attachment.state, "pending");
  }
  await using node = await startFilesApp({ database, folder, env });
  const ben = await node.as("ben");
  const ear = await node.app.connect("ben");
  const [room] = (await ben.get("/api/chat/rooms")).body.rooms;
  await ear.call("join_room", { roomId: room.id });
  const refused = await ben.fetch(fileId);
  const { error } = JSON.parse(new TextDecoder().decode(refused.bytes));
  deepStrictEqual([refused.status, error.code, error.details], [404, "not_found", { state: "pending" }]);
  await clamd.restart();
  scanner.fault = { is: "none" };
  scanner.up();
  const { attachment } = await ear.next("attachment_updated");
  deepStrictEqual([attachment.id, attachment.state], [fileId, "clean"]);
  strictEqual((await ben.fetch(fileId)).status, 200);
});

Deno.test("a store that is killed: uploads and fetches are told to come again, and then find all as it was", async () => {
  await using s3 = await S3Server.start();
  await using node = await startFilesApp({ env: s3.env() });
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const kept = await ada.upload(roomId, "kept");
  await ada.attach(roomId, kept.id);
  const upload = new EndlessUpload(node.app.url, ada.token, roomId);
  await until(() => isUploading(node.app.database), "an upload");
  await s3.kill();
  await upload.hangUp();
  const form = await ada.form("/api/chat/files", [["roomId", roomId], ["file", new Blob(["lost"]), "a.txt"]]);
  deepStrictEqual([form.status, form.body.error.code], [503, "unavailable"]);
  strictEqual((await ada.fetch(kept.id)).status, 503);
  await s3.restart();
  strictEqual((await ada.fetch(kept.id)).status, 200);
  await node.app.app.collector?.collect(AT_ONCE);
  const { objects, uploads } = await s3.contents();
  deepStrictEqual([objects.length, uploads], [1, []]);
  deepStrictEqual((await rowsOf(node.app.database)).filter(({ removed }) => !removed).length, 1);
});

Deno.test("files go with their message, by whomever it is removed; strays and what nobody sent go too", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const send = async (): Promise<string> => (await ada.attach(roomId, (await ada.upload(roomId, "x")).id)).id;
  const removed = await send();
  await send();
  await ada.send("DELETE", `/api/chat/messages/${removed}`);
  await node.app.app.collector?.collect();
  strictEqual((await node.stored()).length, 1, "a deleted message's file is gone");
  strictEqual(await node.app.app.retention.removeBefore(new Date(Date.now() + 60_000)), 2);
  await ada.upload(roomId, "never sent");
  await node.app.app.collector?.collect();
  strictEqual((await node.stored()).length, 1, "retention took the other one's");
  await Deno.mkdir(`${node.folder}/ab`, { recursive: true });
  await Deno.writeTextFile(`${node.folder}/ab/${"ab".repeat(20)}`, "a stray");
  await node.app.app.collector?.collect({ unsentMs: 0 });
  strictEqual((await node.stored()).length, 1, "the stray is too young");
  await requireNothingKept(node);
});

Deno.test("where there is no room for files uploads are refused with 507, and chat goes on", async () => {
  await using parts = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "scroll-chat-full-" });
  parts.defer(() => Deno.remove(folder, { recursive: true }));
  const disk = await mountSmallDisk(folder, 3);
  if (disk === undefined) return;
  parts.use(disk);
  await using node = await startFilesApp({ folder });
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const large = new Blob([new Uint8Array(2_000_000).fill(97)]);
  const send = () => ada.form("/api/chat/files", [["roomId", roomId], ["file", large, "a.txt"]]);
  strictEqual((await send()).status, 201);
  const full = await send();
  deepStrictEqual([full.status, full.body.error.code, full.body.error.retryable], [
    507,
    "storage_full",
    true,
  ]);
  strictEqual((await node.stored()).length, 1, "the half of it is gone");
  strictEqual((await ada.send("POST", "/api/chat/messages", { roomId, content: "still here" })).status, 201);
  await ada.upload(roomId, "a small one fits");
});
