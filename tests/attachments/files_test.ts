/** Uploads, messages with files, and who gets them: the way of a file that is harmless. Nothing is scanned here. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { startFilesApp } from "../helpers/uploads.ts";

const text = (content: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(content);

Deno.test("POST /files, then attachmentIds: the message shows the file, and members get it", async () => {
  await using node = await startFilesApp();
  const [ada, ben] = [await node.as("ada"), await node.as("ben")];
  const roomId = await ada.room(ben);
  const ear = await node.app.connect("ben");
  await ear.call("join_room", { roomId });
  const file = await ada.upload(roomId, text("the words of the preacher"), "ecclesiastes.txt");
  deepStrictEqual(file, {
    id: file.id,
    name: "ecclesiastes.txt",
    mimeType: "text/plain",
    kind: "file",
    size: 25,
    state: "clean",
    durationMs: null,
    waveform: null,
  });
  strictEqual((await ben.fetch(file.id)).status, 404, "not sent yet: it is its uploader's alone");
  strictEqual((await ada.fetch(file.id)).status, 200);
  const message = await ada.attach(roomId, file.id);
  deepStrictEqual([message.content, message.attachments], ["", [file]]);
  const heard = await ear.next("message_received");
  deepStrictEqual(heard.message.attachments, [file]);
  const got = await ben.fetch(file.id);
  deepStrictEqual([got.status, new TextDecoder().decode(got.bytes)], [200, "the words of the preacher"]);
  const history = await ben.get(`/api/chat/rooms/${roomId}/messages`);
  deepStrictEqual(history.body.messages.at(-1).attachments, [file]);
  const again = await ada.send("POST", "/api/chat/messages", {
    roomId,
    content: "again",
    attachmentIds: [file.id],
  });
  deepStrictEqual([again.status, again.body.error.details.field], [400, "attachmentIds"]);
});

Deno.test("a form sends a message with its files, once however often it comes", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const send = () =>
    ada.form("/api/chat/messages", [
      ["roomId", roomId],
      ["content", "Check out this file"],
      ["clientMessageId", "once"],
      ["attachments", new Blob([text("one")]), "1.txt"],
      ["attachments", new Blob([text("two")]), "2.txt"],
    ]);
  const [first, ...others] = [await send(), ...await Promise.all([send(), send(), send()])];
  strictEqual(first?.status, 201, JSON.stringify(first?.body));
  for (const other of others) deepStrictEqual(other, { ...other, status: 201, body: first?.body });
  const names = first?.body.message.attachments.map(({ name }: { name: string }) => name);
  deepStrictEqual(names, ["1.txt", "2.txt"]);
  strictEqual((await node.stored()).length, 2, "no second files");
  const history = await ada.get(`/api/chat/rooms/${roomId}/messages`);
  strictEqual(history.body.messages.length, 1);
  ok(first);
});
