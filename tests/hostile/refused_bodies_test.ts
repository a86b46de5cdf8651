/** Bodies that were refused and go on: the runtime would read them to their end. */
import { ok, strictEqual } from "node:assert/strict";
import { startFilesApp } from "../helpers/uploads.ts";

Deno.test("whoever goes on sending a body that was refused is cut off; who stops may ask again", async () => {
  await using node = await startFilesApp();
  const ada = await node.as("ada");
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: node.app.app.port });
  const head = `POST /api/chat/files HTTP/1.1\r\nHost: host\r\nAuthorization: Bearer ${ada.token}\r\n` +
    "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 500000000000\r\n\r\n";
  await connection.write(new TextEncoder().encode(head));
  const buffer = new Uint8Array(1_000);
  const count = await connection.read(buffer);
  ok(new TextDecoder().decode(buffer.subarray(0, count ?? 0)).startsWith("HTTP/1.1 413"));
  let sent = 0;
  const began = performance.now();
  const piece = new Uint8Array(65_536);
  try {
    while (performance.now() - began < 20_000) sent += await connection.write(piece);
  } catch (fault) {
    ok(
      fault instanceof Deno.errors.ConnectionReset || fault instanceof Deno.errors.BrokenPipe,
      String(fault),
    );
  }
  ok(performance.now() - began < 15_000, `${sent} bytes were taken`);

  using polite = await Deno.connect({ hostname: "127.0.0.1", port: node.app.app.port });
  const ask = async (body: string): Promise<string> => {
    await polite.write(
      new TextEncoder().encode(
        `POST /api/chat/rooms HTTP/1.1\r\nHost: host\r\nAuthorization: Bearer ${ada.token}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ),
    );
    const count = await polite.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, count ?? 0)).split(" ")[1] ?? "";
  };
  strictEqual(await ask("{}"), "400");
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // looked at twice meanwhile
  strictEqual(await ask('{"name":"mine"}'), "201");
});
