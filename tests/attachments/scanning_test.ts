/** Files on their way through the real scanner: what it finds nobody gets, what is clean everybody in the room does. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { TEST_VIRUS } from "../../src/files/test_virus.ts";
import { until } from "../bus/until.ts";
import { join, zipOf } from "../helpers/archives.ts";
import { ClamavRest } from "../helpers/clamav_rest.ts";
import { Clamd, SIGNATURE } from "../helpers/clamd.ts";
import { picture, sampleFiles } from "../helpers/sample_files.ts";
import type { TestSocket } from "../helpers/test_socket.ts";
import { type FileClient, type FilesApp, startFilesApp } from "../helpers/uploads.ts";

interface Scene extends AsyncDisposable {
  node: FilesApp;
  rest: ClamavRest;
  ada: FileClient;
  ben: FileClient;
  roomId: string;
  adaHears: TestSocket;
  benHears: TestSocket;
}

async function setScene(clamd: Clamd): Promise<Scene> {
  await using parts = new AsyncDisposableStack();
  const rest = parts.use(new ClamavRest(clamd));
  const node = parts.use(
    await startFilesApp({
      env: { CLAMAV_REST_URL: rest.url, CHAT_ALLOWED_FILE_TYPES: "*", METRICS_PORT: "0" },
    }),
  );
  const [ada, ben] = [await node.as("ada"), await node.as("ben")];
  const roomId = await ada.room(ben);
  const [adaHears, benHears] = [await node.app.connect("ada"), await node.app.connect("ben")];
  await Promise.all([adaHears.call("join_room", { roomId }), benHears.call("join_room", { roomId })]);
  const owned = parts.move();
  return {
    node,
    rest,
    ada,
    ben,
    roomId,
    adaHears,
    benHears,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const virus = TEST_VIRUS();
const CARRIERS: readonly [what: string, name: string, type: string, bytes: Uint8Array<ArrayBuffer>][] = [
  ["plain", "eicar.txt", "text/plain", virus],
  ["in a zip", "eicar.zip", "application/zip", zipOf({ "eicar.com": virus })],
  ["in a zip in a zip", "twice.zip", "application/zip", zipOf({ "a.zip": zipOf({ "eicar.com": virus }) })],
  ["in an image", "holiday.png", "image/png", join([picture(), virus])],
];

/** How many files of each state the node has counted. */
async function counted({ app }: FilesApp): Promise<Record<string, number>> {
  const response = await fetch(`http://127.0.0.1:${app.app.metricsPort}/metrics`);
  const lines = (await response.text()).matchAll(
    /^scroll_chat_attachment_verdicts_total\{state="(\w+)"\} (\d+)$/gm,
  );
  return Object.fromEntries([...lines].map(([, state, count]) => [state, Number(count)]));
}

Deno.test("the real scanner", async (t) => {
  await using clamd = await Clamd.start();

  for (const [what, name, type, bytes] of CARRIERS) {
    await t.step(`a virus ${what} is found, never served, told to uploader and room, and gone`, async () => {
      await using scene = await setScene(clamd);
      const { node, rest, ada, ben, roomId, adaHears, benHears } = scene;
      rest.fault = { is: "slow", ms: 500 };
      const file = await ada.upload(roomId, bytes, name, type);
      strictEqual(file.state, "pending");
      const { id } = await ada.attach(roomId, file.id);
      const placeholder = await benHears.next("message_received", ({ message }) => message.id === id);
      strictEqual(placeholder.message.attachments[0].state, "pending");
      for (const who of [ada, ben]) strictEqual((await who.fetch(file.id)).status, 404);
      const told = await benHears.next("attachment_updated");
      deepStrictEqual([told.attachment.id, told.attachment.state], [file.id, "infected"]);
      deepStrictEqual(told.message.attachments, [told.attachment]);
      ok(!JSON.stringify(benHears.pushes).includes(SIGNATURE), "what it was is the uploader's to know");
      const own = await adaHears.next("file_scanned");
      deepStrictEqual([own.attachment, own.finding], [told.attachment, SIGNATURE]);
      deepStrictEqual((await ada.get(`/api/chat/files/${file.id}/state`)).body.finding, SIGNATURE);
      deepStrictEqual((await ben.get(`/api/chat/files/${file.id}/state`)).body.finding, null);
      for (const who of [ada, ben]) {
        strictEqual((await who.fetch(file.id)).status, 404);
        strictEqual((await who.get(`/api/chat/files/${file.id}/link`)).status, 404);
      }
      deepStrictEqual(await counted(node), { clean: 0, infected: 1, failed: 0 });
      await node.app.app.collector?.collect();
      deepStrictEqual(await node.stored(), []);
      const sql = postgres(node.app.database.url, { max: 1, fetch_types: false });
      const [row] =
        await sql`select event, user_id, room_id, details->>'signature' as signature from audit_log`;
      await sql.end();
      deepStrictEqual({ ...row }, {
        event: "attachment.infected",
        user_id: "ada",
        room_id: roomId,
        signature: SIGNATURE,
      });
    });
  }

  await t.step(
    "clean files of many kinds arrive as they are; the second of the same is not scanned",
    async () => {
      await using scene = await setScene(clamd);
      const { node, rest, ada, ben, roomId } = scene;
      const samples = sampleFiles();
      ok(samples.length >= 20);
      const sent: { id: string; bytes: Uint8Array }[] = [];
      for (const { name, declaredType, bytes, mimeType } of samples) {
        const file = await ada.upload(roomId, bytes, name, declaredType);
        strictEqual(file.mimeType, mimeType, name);
        await ada.attach(roomId, file.id);
        sent.push({ id: file.id, bytes });
      }
      for (const { id } of sent) { // some before their message was there, most of them after
        await until(
          async () => (await ben.get(`/api/chat/files/${id}/state`)).body.attachment.state === "clean",
          "all files scanned",
        );
      }
      for (const { id, bytes } of sent) {
        const got = await ben.fetch(id);
        deepStrictEqual([got.status, got.bytes], [200, bytes]);
      }
      const asked = rest.asked;
      const [sample] = samples;
      const again = await ada.upload(roomId, sample?.bytes ?? "", "again.png");
      deepStrictEqual([again.state, rest.asked], ["clean", asked]);
      strictEqual((await node.stored()).length, samples.length + 1);
    },
  );

  await t.step(
    "an archive that is a bomb never gets as far as the scanner, and is never served",
    async () => {
      await using scene = await setScene(clamd);
      const { node, rest, ada, ben, roomId, benHears } = scene;
      const bomb = zipOf({ "zeros.txt": new Uint8Array(150_000_000) });
      ok(bomb.length < 1_000_000);
      const file = await ada.upload(roomId, bomb, "homework.zip", "application/zip");
      await ada.attach(roomId, file.id);
      await until(
        async () => (await ben.get(`/api/chat/files/${file.id}/state`)).body.attachment.state === "failed",
        "a word",
      );
      const own = (await ada.get(`/api/chat/files/${file.id}/state`)).body;
      deepStrictEqual([own.attachment.state, typeof own.finding], ["failed", "string"]);
      strictEqual((await ben.fetch(file.id)).status, 404);
      deepStrictEqual(benHears.events("file_scanned"), [], "the uploader's to know");
      await node.app.app.collector?.collect();
      deepStrictEqual(await node.stored(), []);
      ok(rest.asked <= 1, "at most the test virus was shown to it");
    },
  );

  await t.step("a direct message's file is told through the inbox", async () => {
    await using scene = await setScene(clamd);
    const { ada, ben, benHears, rest } = scene;
    rest.fault = { is: "slow", ms: 300 };
    const { body, status } = await ada.form("/api/chat/direct-messages", [
      ["recipientId", "ben"],
      ["attachments", new Blob([picture()], { type: "image/png" }), "a.png"],
    ]);
    strictEqual(status, 201, JSON.stringify(body));
    const [file] = body.message.attachments;
    strictEqual(file.state, "pending");
    const told = await benHears.next("attachment_updated");
    deepStrictEqual([told.attachment.state, told.inbox.seq > 0], ["clean", true]);
    strictEqual((await ben.fetch(file.id)).status, 200);
    const page = await ben.get("/api/chat/direct-messages/ada");
    deepStrictEqual(page.body.messages[0].attachments, [told.attachment]);
    strictEqual((await (await scene.node.as("cyd")).fetch(file.id)).status, 404);
  });
});
