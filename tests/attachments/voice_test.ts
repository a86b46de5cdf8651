/** Voice messages: an ordinary attachment whose waveform is checked, and whose length is measured. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { sampleFiles, wave } from "../helpers/sample_files.ts";
import { startFilesApp } from "../helpers/uploads.ts";

Deno.test("a voice message has the length that it has, whatever the client says, and its waveform", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const waveform = Array.from({ length: 256 }, (_, i) => i);
  const { status, body } = await ada.form("/api/chat/messages", [
    ["roomId", roomId],
    ["type", "AUDIO"],
    ["kind", "voice"],
    ["durationMs", "99"],
    ["waveform", JSON.stringify(waveform)],
    ["attachments", new Blob([wave(3)], { type: "audio/wav" }), "voice.wav"],
    ["attachments", new Blob([wave(1)], { type: "audio/wav" }), "song.wav"],
  ]);
  strictEqual(status, 201, JSON.stringify(body));
  const [voice, song] = body.message.attachments;
  deepStrictEqual([voice.kind, voice.durationMs, voice.waveform], ["voice", 3_000, waveform]);
  deepStrictEqual(
    [song.kind, song.durationMs, song.waveform],
    ["audio", 1_000, null],
    "details are of the next file only",
  );
});

Deno.test("a recording as browsers make it is a voice message", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  const roomId = await ada.room();
  const recorded = sampleFiles().find(({ name }) => name === "voice.webm");
  ok(recorded);
  const { status, body } = await ada.form("/api/chat/files", [
    ["roomId", roomId],
    ["kind", "voice"],
    ["durationMs", "1234"],
    ["file", new Blob([recorded.bytes], { type: recorded.declaredType ?? "" }), "voice.webm"],
  ]);
  strictEqual(status, 201, JSON.stringify(body));
  deepStrictEqual([body.attachment.kind, body.attachment.mimeType], ["voice", "audio/webm"]);
  ok(body.attachment.durationMs > 0);
});
