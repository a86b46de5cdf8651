/** Who gets a file, and who does not: everybody who may not is told the same, in the same time. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHmac } from "node:crypto";
import postgres from "postgres";
import { MemoryBus } from "../../src/bus/memory_bus.ts";
import { createTestDatabase } from "../helpers/databases.ts";
import { picture } from "../helpers/sample_files.ts";
import { type Fetched, type FileClient, startFilesApp } from "../helpers/uploads.ts";

const text = (content: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(content);

/** What a refused fetch says, but for the request's own id. */
function refusal({ status, bytes }: Fetched): unknown {
  const { error } = JSON.parse(new TextDecoder().decode(bytes));
  return { status, ...error, requestId: undefined };
}

/** As the server signs it. */
async function signedLink(databaseUrl: string, file: string, user: string, expires: number): Promise<string> {
  const sql = postgres(databaseUrl, { max: 1, fetch_types: false });
  const [row] = await sql`select link_key from server_state`;
  await sql.end();
  const signature = createHmac("sha256", row?.link_key).update(JSON.stringify([file, user, expires])).digest(
    "base64url",
  );
  return `/api/chat/files/${file}?${new URLSearchParams({ user, expires: String(expires), signature })}`;
}

const NOT_FOUND = {
  status: 404,
  code: "not_found",
  message: "There is no such file",
  retryable: false,
  requestId: undefined,
};

Deno.test("whoever may not have a file is told that there is none, in the time that takes for everybody", async () => {
  await using node = await startFilesApp();
  const [ada, ben, cyd] = [await node.as("ada"), await node.as("ben"), await node.as("cyd")];
  const roomId = await ada.room(ben);
  const sent = async (): Promise<string> => {
    const { id } = await ada.upload(roomId, text(crypto.randomUUID()));
    await ada.attach(roomId, id);
    return id;
  };
  const linkOf = async (who: FileClient, id: string): Promise<string> =>
    (await who.get(`/api/chat/files/${id}/link`)).body.url;
  const file = await sent();
  strictEqual((await ben.fetch(file)).status, 200);
  const benLink = await linkOf(ben, file);
  strictEqual((await ben.follow(benLink)).status, 200);
  const own = await signedLink(node.app.database.url, file, "ben", Date.now() + 60_000);
  strictEqual((await ben.follow(own)).status, 200);

  const removed = await sent();
  const message = (await ben.get(`/api/chat/rooms/${roomId}/messages`)).body.messages.at(-1);
  await ada.send("DELETE", `/api/chat/messages/${message.id}`);
  const unsent = (await ada.upload(roomId, text("nobody's yet"))).id;
  const [direct] = (await ada.form("/api/chat/direct-messages", [
    ["recipientId", "cyd"],
    ["attachments", new Blob([text("between us")])],
  ])).body.message.attachments;
  strictEqual((await cyd.fetch(direct.id)).status, 200);
  const gone = await ada.room(ben);
  const { id: inGone } = await ada.upload(gone, text("gone with its room"));
  await ada.attach(gone, inGone);
  await ada.send("DELETE", `/api/chat/rooms/${gone}`);
  const expired = await signedLink(node.app.database.url, file, "ben", Date.now() - 1);
  const longer = new URL(benLink, "http://host");
  longer.searchParams.set("expires", String(Date.now() + 3_600_000));
  const others = new URL(benLink, "http://host");
  others.searchParams.set("user", "ada");
  const another = benLink.replace(file, removed);

  const cases: [what: string, ask: () => Promise<Fetched>][] = [
    ["a guessed id", () => ben.fetch(crypto.randomUUID())],
    ["someone else's room", () => cyd.fetch(file)],
    ["a removed message", () => ben.fetch(removed)],
    ["a removed message, by who wrote it", () => ada.fetch(removed)],
    ["not sent yet", () => ben.fetch(unsent)],
    ["a direct message of others", () => ben.fetch(direct.id)],
    ["a removed room", () => ben.fetch(inGone)],
    ["an expired link", () => ben.follow(expired)],
    ["a link made to last", () => ben.follow(longer.pathname + longer.search)],
    ["a link for another user", () => ben.follow(others.pathname + others.search)],
    ["a link for another file", () => ben.follow(another)],
  ];
  for (const [what, ask] of cases) deepStrictEqual(refusal(await ask()), NOT_FOUND, what);
  strictEqual((await ben.fetch(file)).status, 200);
  await ben.send("POST", `/api/chat/rooms/${roomId}/leave`, {});
  cases.push(["a room left", () => ben.fetch(file)], ["a link of a room left", () => ben.follow(benLink)]);

  const times = new Map<string, number[]>();
  for (let round = 0; round < 15; round++) {
    for (const [what, ask] of cases) {
      const began = performance.now();
      deepStrictEqual(refusal(await ask()), NOT_FOUND, what);
      times.set(what, [...times.get(what) ?? [], performance.now() - began]);
    }
  }
  const medians = [...times].map(([what, each]) => [what, each.toSorted((a, b) => a - b)[7] ?? 0] as const);
  const [least, most] = [Math.min(...medians.map(([, ms]) => ms)), Math.max(...medians.map(([, ms]) => ms))];
  ok(most < least * 3 + 5, JSON.stringify(medians)); // one question each: none is told from another by its time
  strictEqual((await ada.fetch(file)).status, 200);
});

Deno.test("a file is an upload of one's own, to this room, sent once", async () => {
  await using node = await startFilesApp();
  const [ada, ben] = [await node.as("ada"), await node.as("ben")];
  const [roomId, other] = [await ada.room(ben), await ada.room(ben)];
  const { id } = await ada.upload(roomId, text("mine"));
  const send = (who: FileClient, to: string, ids: string[]) =>
    who.send("POST", "/api/chat/messages", { roomId: to, content: "here", attachmentIds: ids });
  for (
    const answer of [
      await send(ben, roomId, [id]),
      await send(ada, other, [id]),
      await send(ada, roomId, [id, crypto.randomUUID()]),
      await ada.send("POST", "/api/chat/direct-messages", { recipientId: "ben", attachmentIds: [id] }),
    ]
  ) {
    deepStrictEqual([answer.status, answer.body.error.details.field], [400, "attachmentIds"]);
  }
  const all = await Promise.all(Array.from({ length: 5 }, () => send(ada, roomId, [id])));
  deepStrictEqual(all.map(({ status }) => status).sort(), [201, 400, 400, 400, 400]);
  strictEqual((await ada.send("DELETE", `/api/chat/files/${id}`)).status, 409);
  const taken = (await ada.upload(roomId, text("taken back"))).id;
  strictEqual((await ben.send("DELETE", `/api/chat/files/${taken}`)).status, 404);
  strictEqual((await ada.send("DELETE", `/api/chat/files/${taken}`)).status, 200);
  strictEqual((await send(ada, roomId, [taken])).status, 400);
});

Deno.test("another node of the same store serves the file, and its links", async () => {
  await using database = await createTestDatabase();
  await using here = await startFilesApp({ database, bus: new MemoryBus() });
  await using there = await startFilesApp({ database, bus: new MemoryBus(), folder: here.folder });
  const ada = await here.as("ada");
  const away = await there.as("ada");
  const roomId = await ada.room();
  const { id } = await ada.upload(roomId, text("everywhere"));
  await ada.attach(roomId, id);
  strictEqual((await away.fetch(id)).status, 200);
  const { url } = (await ada.get(`/api/chat/files/${id}/link`)).body;
  strictEqual((await away.follow(url)).status, 200);
});

Deno.test("a file is sent so that a browser shows or stores it, and never runs it", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const image = await ada.upload(roomId, picture(), "žába 100%.png", "image/png");
  const svg = await ada.upload(
    roomId,
    text('<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "a.svg",
    "image/svg+xml",
  );
  const got = await ada.fetch(image.id);
  deepStrictEqual(got.bytes, picture());
  const headers = Object.fromEntries(
    [
      "content-type",
      "content-disposition",
      "content-security-policy",
      "x-content-type-options",
      "cache-control",
      "accept-ranges",
    ]
      .map((name) => [name, got.headers.get(name)]),
  );
  deepStrictEqual(headers, {
    "content-type": "image/png",
    "content-disposition": "inline; filename=\"__ba 100_.png\"; filename*=UTF-8''%C5%BE%C3%A1ba%20100%25.png",
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-cache",
    "accept-ranges": "bytes",
  });
  const drawn = await ada.fetch(svg.id);
  ok(drawn.headers.get("content-disposition")?.startsWith("attachment;"), "SVG is never shown inline");
});

Deno.test("ranges and conditions are understood, also by HEAD", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const { id } = await ada.upload(await ada.room(), text("0123456789"));
  const asked = async (headers: Record<string, string>, method = "GET") => {
    const got = await ada.fetch(id, headers, method);
    return [got.status, new TextDecoder().decode(got.bytes), got.headers.get("content-range")];
  };
  const etag = (await ada.fetch(id)).headers.get("etag") ?? "";
  ok(/^"[0-9a-f]{64}"$/.test(etag));
  deepStrictEqual(await asked({ range: "bytes=2-4" }), [206, "234", "bytes 2-4/10"]);
  deepStrictEqual(await asked({ range: "bytes=7-" }), [206, "789", "bytes 7-9/10"]);
  deepStrictEqual(await asked({ range: "bytes=-3" }), [206, "789", "bytes 7-9/10"]);
  deepStrictEqual(await asked({ range: "bytes=8-99" }), [206, "89", "bytes 8-9/10"]);
  deepStrictEqual(await asked({ range: "bytes=0-1,4-5" }), [200, "0123456789", null]);
  deepStrictEqual(await asked({ range: "lines=1-2" }), [200, "0123456789", null]);
  deepStrictEqual(await asked({ range: "bytes=2-4", "if-range": etag }), [206, "234", "bytes 2-4/10"]);
  deepStrictEqual(await asked({ range: "bytes=2-4", "if-range": '"other"' }), [200, "0123456789", null]);
  deepStrictEqual(await asked({ "if-none-match": `"x", W/${etag}` }), [304, "", null]);
  deepStrictEqual(await asked({ "if-none-match": '"x"' }), [200, "0123456789", null]);
  strictEqual((await asked({ range: "bytes=10-" }))[0], 416);
  const head = await ada.fetch(id, {}, "HEAD");
  deepStrictEqual([head.status, head.bytes.length, head.headers.get("content-length")], [200, 0, "10"]);
});
