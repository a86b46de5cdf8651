/** readForm(): whatever pieces a form comes in, and however slowly its files are read, they are read as they were sent. */
import { deepStrictEqual, rejects } from "node:assert/strict";
import { readForm } from "../../src/http/form.ts";
import { seeded } from "../store/fixture.ts";

const LIMITS = { bodyBytes: 10_000_000, fileBytes: 5_000_000, files: 10, fieldBytes: 100_000 };

type Sent = { name: string; bytes: Uint8Array };

/** Fields have no name of a file. */
function encode(parts: (Sent & { isFile: boolean })[]): Uint8Array<ArrayBuffer> {
  const pieces: BlobPart[] = parts.flatMap(({ name, bytes, isFile }) => [
    `--end\r\nContent-Disposition: form-data; name="${name}"${isFile ? '; filename="f"' : ""}\r\n\r\n`,
    bytes as Uint8Array<ArrayBuffer>,
    "\r\n",
  ]);
  const text = pieces.concat("--end--\r\n").map((each) =>
    typeof each === "string" ? new TextEncoder().encode(each) : each as Uint8Array<ArrayBuffer>
  );
  const whole = new Uint8Array(text.reduce((sum, { length }) => sum + length, 0));
  text.reduce((at, each) => (whole.set(each, at), at + each.length), 0);
  return whole;
}

/** Each piece in a buffer of its own, as the runtime gives them. */
function requestOf(body: Uint8Array<ArrayBuffer>, sizes: () => number): Request {
  let at = 0;
  const stream = new ReadableStream({
    pull(controller) {
      if (at >= body.length) return controller.close();
      controller.enqueue(body.slice(at, at += sizes()));
    },
  });
  return new Request("http://host/", {
    method: "POST",
    body: stream,
    headers: { "content-type": "multipart/form-data; boundary=end" },
  });
}

Deno.test("readForm() gives every byte of every file, in pieces of any size, to readers of any speed", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed);
    const upTo = (max: number) => Math.floor(random() * max);
    const noise = (length: number): Uint8Array =>
      Uint8Array.from(
        { length },
        () => random() < 0.2 ? 13 : random() < 0.2 ? 10 : random() < 0.3 ? 45 : upTo(256),
      ); // much that looks like an end
    const most = [7, 100, 5_000, 65_536][upTo(4)] ?? 100;
    const parts = Array.from({ length: 1 + upTo(9) }, (_, i) => {
      const isFile = random() < 0.7;
      const length = random() < 0.5 ? upTo(50) : upTo(isFile ? Math.min(most * 200, 60_000) : 500);
      return {
        name: `p${i}`,
        isFile,
        bytes: isFile ? noise(length) : new TextEncoder().encode("x".repeat(length)),
      };
    });
    const request = requestOf(encode(parts), () => 1 + upTo(most));
    const read: Sent[] = [];
    for await (const part of readForm(request, LIMITS)) {
      if (part.is === "field") read.push({ name: part.name, bytes: new TextEncoder().encode(part.value) });
      else {
        const pieces: Uint8Array<ArrayBuffer>[] = [];
        for await (const piece of part.body) {
          if (random() < 0.1) await new Promise((resolve) => setTimeout(resolve, 0));
          pieces.push(Uint8Array.from(piece));
        }
        read.push({ name: part.name, bytes: await new Blob(pieces).bytes() });
      }
    }
    deepStrictEqual(
      read,
      parts.map(({ name, bytes }) => ({ name, bytes: Uint8Array.from(bytes) })),
      `seed ${seed}`,
    );
  }
});

Deno.test("readForm() passes over what nobody reads, and lets go of a body that nobody wants", async () => {
  const parts = Array.from(
    { length: 3 },
    (_, i) => ({ name: `p${i}`, isFile: true, bytes: new Uint8Array(200_000) }),
  );
  const names: string[] = [];
  for await (const { name } of readForm(requestOf(encode(parts), () => 10_000), LIMITS)) names.push(name);
  deepStrictEqual(names, ["p0", "p1", "p2"]);
  for await (const _ of readForm(requestOf(encode(parts), () => 10_000), LIMITS)) break;
  const early = requestOf(encode(parts).slice(0, 300_000), () => 10_000);
  await rejects(async () => {
    for await (const part of readForm(early, LIMITS)) {
      if (part.is === "file") { for await (const _ of part.body); }
    }
  }, { code: "invalid_request" });
});
