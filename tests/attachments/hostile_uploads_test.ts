/** What hostile or broken clients upload: each is told what is wrong with it, and nothing of it is left. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { join, zipOf } from "../helpers/archives.ts";
import { rawRequest } from "../suites/raw_http.ts";
import { picture } from "../helpers/sample_files.ts";
import type { Json } from "../helpers/doors.ts";
import { type FileClient, type FilesApp, startFilesApp } from "../helpers/uploads.ts";

const text = (content: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(content);
const MAX = 100_000;

interface Told {
  status: number;
  code: string;
  field?: string;
  reason?: string;
}

/** The part of a form with one file. */
function part(
  fileName: string,
  content: Uint8Array<ArrayBuffer> | string,
  type = "",
  field = "file",
): Uint8Array<ArrayBuffer> {
  const declared = type === "" ? "" : `\r\nContent-Type: ${type}`;
  return join([
    text(`--b\r\nContent-Disposition: form-data; name="${field}"; filename="${fileName}"${declared}\r\n\r\n`),
    typeof content === "string" ? text(content) : content,
    text("\r\n"),
  ]);
}
const field = (name: string, value: string): Uint8Array<ArrayBuffer> =>
  text(`--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
const END = text("--b--\r\n");

class Attacker {
  readonly #node: FilesApp;
  readonly client: FileClient;
  readonly roomId: string;

  constructor(node: FilesApp, client: FileClient, roomId: string) {
    this.#node = node;
    this.client = client;
    this.roomId = roomId;
  }

  static async at(node: FilesApp): Promise<Attacker> {
    const client = await node.as("mallory");
    return new Attacker(node, client, await client.room());
  }

  /** A body as it is. */
  async post(
    body: BodyInit,
    { type = "multipart/form-data; boundary=b", path = "/api/chat/files", headers = {} } = {},
  ): Promise<{ told: Told; body: Json }> {
    const response = await fetch(this.#node.app.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${this.client.token}`, "content-type": type, ...headers },
      body,
    });
    const answer = await response.json();
    const { code, details } = answer.error ?? { code: "none" };
    return {
      told: {
        status: response.status,
        code,
        ...(details?.field === undefined ? {} : { field: details.field }),
        ...(details?.reason === undefined ? {} : { reason: details.reason }),
      },
      body: answer,
    };
  }

  form(...parts: Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
    return join([field("roomId", this.roomId), ...parts, END]);
  }
}

/** Nothing in the folder, nothing that anybody could name, and what broke off counts for nothing. */
async function requireNothingLeft(node: FilesApp): Promise<void> {
  deepStrictEqual(await node.stored(), []);
  const sql = postgres(node.app.database.url, { max: 1, fetch_types: false });
  const rows = await sql`select id, state, bytes from attachments where removed_at is null or bytes > 0`;
  await sql.end();
  deepStrictEqual([...rows], []);
}

const program = join([text("\x7fELF\x02\x01\x01"), new Uint8Array(200)]);
const script = text("#!/bin/sh\nrm -rf /\n");
const pdf = text("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n");
const refused = (reason: string): Told => ({
  status: 415,
  code: "unsupported_media_type",
  field: "file",
  reason,
});

/** By the types that are allowed when nobody says otherwise. */
const FILES: readonly [
  what: string,
  name: string,
  type: string,
  bytes: Uint8Array<ArrayBuffer>,
  told: Told,
][] = [
  ["nothing", "a.txt", "text/plain", new Uint8Array(), {
    status: 400,
    code: "invalid_request",
    field: "file",
    reason: "empty",
  }],
  [
    "HTML as an image",
    "a.png",
    "image/png",
    text("<!doctype html><script>alert(1)</script>"),
    refused("type_contradicted"),
  ],
  ["a script as an image", "a.png", "image/png", script, refused("executable")],
  ["a program as text", "notes.txt", "text/plain", program, refused("executable")],
  [
    "a program by a double extension",
    "holiday.jpg.exe",
    "image/jpeg",
    join([text("MZ"), new Uint8Array(200)]),
    refused("executable"),
  ],
  ["an image that is a program too", "a.exe", "image/png", picture(), refused("executable")],
  ["a PDF that is something else too", "a.png", "image/png", join([picture(), pdf]), refused("polyglot")],
  ["a zip", "a.zip", "application/zip", zipOf({ "a.txt": text("a") }), refused("type_not_allowed")],
  [
    "a jar",
    "a.jar",
    "application/java-archive",
    zipOf({ "META-INF/MANIFEST.MF": text("Main-Class: A") }),
    refused("executable"),
  ],
];

Deno.test("files that are not what they say, or must not be, are refused by their bytes", async (t) => {
  await using node = await startFilesApp({ env: { CHAT_MAX_ATTACHMENT_SIZE: String(MAX) } });
  const mallory = await Attacker.at(node);
  for (const [what, name, type, bytes, wanted] of FILES) {
    await t.step(what, async () => {
      const { told, body } = await mallory.post(mallory.form(part(name, bytes, type)));
      deepStrictEqual(told, wanted, JSON.stringify(body));
      await requireNothingLeft(node);
    });
  }
});

Deno.test("forms that are none, or too much of one, are refused with what is wrong", async (t) => {
  await using node = await startFilesApp({ env: { CHAT_MAX_ATTACHMENT_SIZE: String(MAX) } });
  const mallory = await Attacker.at(node);
  const bad: Told = { status: 400, code: "invalid_request" };
  const ok10 = part("a.txt", "a");
  const parts = (count: number): Uint8Array<ArrayBuffer>[] =>
    Array.from({ length: count }, (_, i) => field(`f${i}`, "x"));
  const cases: [what: string, body: BodyInit, told: Told, more?: Parameters<Attacker["post"]>[1]][] = [
    ["no boundary", mallory.form(ok10), bad, { type: "multipart/form-data" }],
    ["a wrong boundary", mallory.form(ok10), bad, { type: "multipart/form-data; boundary=other" }],
    ["no end", join([field("roomId", mallory.roomId), part("a.txt", "a".repeat(5_000))]), bad],
    [
      "an end in the middle of a header",
      join([field("roomId", mallory.roomId), text("--b\r\nContent-Dispo")]),
      bad,
    ],
    ["no body", "", bad],
    ["JSON", "{}", { status: 415, code: "unsupported_media_type" }, { type: "application/json" }],
    ["compressed", mallory.form(ok10), { status: 415, code: "unsupported_media_type" }, {
      headers: { "content-encoding": "gzip" },
    }],
    ["1,000 parts", mallory.form(...parts(1_000), ok10), bad],
    ["a field of 2 MB", mallory.form(field("kind", "x".repeat(2_000_000)), ok10), {
      status: 413,
      code: "too_large",
    }],
    ["two files", mallory.form(ok10, ok10), { ...bad, field: "attachments" }],
    [
      "eleven files of a message",
      mallory.form(...Array.from({ length: 11 }, () => part("a.txt", "a", "", "attachments"))),
      {
        ...bad,
        field: "attachments",
      },
      { path: "/api/chat/messages" },
    ],
    ["a file under another name", mallory.form(part("a.txt", "a", "", "picture")), {
      ...bad,
      field: "picture",
    }],
    ["a field that is none", mallory.form(field("admin", "true"), ok10), { ...bad, field: "admin" }],
    ["__proto__", mallory.form(field("__proto__", "x"), ok10), { ...bad, field: "__proto__" }],
    ["no room", join([ok10, END]), { ...bad, field: "roomId" }],
    ["a room after the file", join([ok10, field("roomId", mallory.roomId), END]), {
      ...bad,
      field: "roomId",
    }],
    ["a room and a user", mallory.form(field("recipientId", "mallory"), ok10), { ...bad, field: "roomId" }],
    ["a room twice", mallory.form(field("roomId", mallory.roomId), ok10), { ...bad, field: "roomId" }],
    ["no file", mallory.form(), { ...bad, field: "file" }],
    ["a room that is not there", join([field("roomId", crypto.randomUUID()), ok10, END]), {
      status: 404,
      code: "not_found",
    }],
    ["a user that is not there", join([field("recipientId", "nobody"), ok10, END]), {
      status: 404,
      code: "not_found",
      field: "recipientId",
    }],
    ["one byte too many", mallory.form(part("a.txt", "a".repeat(MAX + 1))), {
      status: 413,
      code: "too_large",
      field: "file",
    }],
    [
      "a megabyte too many, without a length",
      streamed(mallory.form(part("a.txt", "a".repeat(MAX + 1_000_000)))),
      {
        status: 413,
        code: "too_large",
        field: "file",
      },
    ],
    ["a body that is too long by its length", mallory.form(part("a.txt", "a".repeat(5_000_000))), {
      status: 413,
      code: "too_large",
    }],
    ["a voice that is a text", mallory.form(field("kind", "voice"), ok10), { ...bad, field: "kind" }],
    ["a waveform of a text", mallory.form(field("waveform", "[1]"), ok10), { ...bad, field: "waveform" }],
    ["a waveform that is none", mallory.form(field("kind", "voice"), field("waveform", "[256]"), ok10), {
      ...bad,
      field: "waveform.0",
    }],
    [
      "a waveform of 257",
      mallory.form(field("kind", "voice"), field("waveform", JSON.stringify(Array(257).fill(0))), ok10),
      {
        ...bad,
        field: "waveform",
      },
    ],
    ["what describes no file", mallory.form(ok10, field("kind", "file")), { ...bad, field: "kind" }],
    [
      "a message that is too long",
      mallory.form(field("content", "x".repeat(5_001)), part("a.txt", "a", "", "attachments")),
      {
        ...bad,
        field: "content",
      },
      { path: "/api/chat/messages" },
    ],
    [
      "a reply to nothing, after its file",
      mallory.form(part("a.txt", "a", "", "attachments"), field("replyToId", crypto.randomUUID())),
      {
        ...bad,
        field: "replyToId",
      },
      { path: "/api/chat/messages" },
    ],
  ];
  for (const [what, body, wanted, more] of cases) {
    await t.step(what, async () => {
      const { told, body: answer } = await mallory.post(body, more);
      deepStrictEqual(told, wanted, JSON.stringify(answer));
      await requireNothingLeft(node);
    });
  }
});

function streamed(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += 65_536));
    },
  });
}

Deno.test("a length that lies is found out, and holds nothing", async () => {
  await using node = await startFilesApp();
  const mallory = await Attacker.at(node);
  const body = mallory.form(part("a.txt", "a".repeat(1_000)));
  const head = (length: string): string =>
    `POST /api/chat/files HTTP/1.1\r\nHost: host\r\nAuthorization: Bearer ${mallory.client.token}\r\n` +
    `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${length}\r\n\r\n`;
  const { port } = node.app.app;
  const statusOf = async (length: string): Promise<number> => {
    const response = await rawRequest(port, head(length), body);
    await response.body?.cancel();
    return response.status;
  };
  strictEqual(await statusOf(String(body.length - 500)), 400); // ends early
  strictEqual(await statusOf("99999999999"), 413); // before a byte of it is read
  strictEqual(await statusOf("-1"), 400);
  await requireNothingLeft(node);
});

Deno.test("a file of exactly the limit is taken", async () => {
  await using node = await startFilesApp({ env: { CHAT_MAX_ATTACHMENT_SIZE: String(MAX) } });
  const mallory = await Attacker.at(node);
  const { told, body } = await mallory.post(mallory.form(part("a.txt", "a".repeat(MAX))));
  deepStrictEqual([told.status, body.attachment?.size], [201, MAX], JSON.stringify(body));
});

Deno.test("names are labels: paths, controls, bidi and length do no harm", async () => {
  await using node = await startFilesApp();
  const mallory = await Attacker.at(node);
  const names: Record<string, string> = {
    "../../etc/passwd.txt": "passwd.txt",
    "C:\\Windows\\system.txt": "system.txt",
    "a\u0000b.txt": "ab.txt",
    "invoice\u202etxt.exe.txt": "invoicetxt.exe.txt",
    ".": "file",
  };
  for (const [given, shown] of Object.entries(names)) {
    const { body, told } = await mallory.post(mallory.form(part(given, "text", "text/plain")));
    strictEqual(told.status, 201, JSON.stringify(body));
    ok(!/[\p{Cc}\u202a-\u202e/\\]/u.test(body.attachment.name), body.attachment.name);
    if (given !== ".") strictEqual(body.attachment.name, shown);
  }
  const long = await mallory.post(mallory.form(part(`${"x".repeat(10_000)}.txt`, "text")));
  strictEqual(long.told.status, 201, JSON.stringify(long.body));
  ok(text(long.body.attachment.name).length <= 255 && long.body.attachment.name.endsWith(".txt"));
});

Deno.test("who may not write in a room uploads nothing there", async () => {
  await using node = await startFilesApp();
  const [ada, ben, cyd] = [await node.as("ada"), await node.as("ben"), await node.as("cyd")];
  const roomId = await ada.room(ben);
  const upload = (who: FileClient, target: [string, string]) =>
    who.form("/api/chat/files", [target, ["file", new Blob(["a"]), "a.txt"]]);
  const codeOf = async (who: FileClient, target: [string, string] = ["roomId", roomId]) =>
    (await upload(who, target)).body.error?.code;
  strictEqual(await codeOf(cyd), "forbidden");
  await ada.send("PATCH", `/api/chat/rooms/${roomId}/members/ben`, { isMuted: true });
  strictEqual(await codeOf(ben), "muted");
  await ada.send("PATCH", `/api/chat/rooms/${roomId}/members/ben`, { isBlocked: true });
  strictEqual(await codeOf(ben), "banned");
  await ada.send("PUT", "/api/chat/blocks/cyd", {});
  strictEqual(await codeOf(cyd, ["recipientId", "ada"]), "blocked");
  await requireNothingLeft(node);
});

Deno.test("a user may upload so much in a day, also in many uploads at once", async () => {
  await using node = await startFilesApp({ env: { CHAT_UPLOAD_QUOTA_PER_DAY: "5000" } });
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const upload = () =>
    ada.form("/api/chat/files", [["roomId", roomId], ["file", new Blob(["a".repeat(1_000)]), "a.txt"]]);
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await upload()).status);
  const atOnce = await Promise.all([upload(), upload(), upload(), upload()]);
  const taken =
    [...statuses, ...atOnce.map(({ status }) => status)].filter((status) => status === 201).length;
  ok(taken === 3 || taken === 4, `${taken} taken`); // what is under way holds what its form's length says
  const { body, status, headers } = await upload();
  if (taken === 4) {
    deepStrictEqual([status, body.error.code], [429, "quota_exceeded"]);
    ok(headers.has("retry-after"));
  }
  strictEqual((await node.stored()).length <= 4, true);
});
