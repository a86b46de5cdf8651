/**
 * `deno task bench:uploads [--uploads 200] [--bytes 10000000] [--lengths] [--s3] [--out file]`: so many uploads at once, by clients that come again
 * when the node is busy, until each file is there, scanned by a real clamd, and fetched by somebody else, held against its
 * hash. What the node's memory did meanwhile. The node, Postgres, the clients and the scanner are processes of their own.
 */
import { join } from "node:path";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { ClamavRest } from "../../tests/helpers/clamav_rest.ts";
import { Clamd } from "../../tests/helpers/clamd.ts";
import { createTestDatabase } from "../../tests/helpers/databases.ts";
import { startNodeProcess } from "../../tests/helpers/node_process.ts";
import { FileClient } from "../../tests/helpers/uploads.ts";
import { S3Server } from "../../tests/helpers/s3_server.ts";
import { signToken } from "../../tests/helpers/test_app.ts";
import { serverOf } from "../server.ts";
import { Child } from "./child.ts";
import type { ClientsAnswer, ClientsAsk } from "./clients.ts";
import { describe } from "./report.ts";
import { RssWatch } from "./rss_watch.ts";

const { values } = parseArgs({
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    uploads: { type: "string", default: "200" },
    bytes: { type: "string", default: "10000000" },
    /** Bodies whose length is known, as browsers send them; else they come in chunks. */
    lengths: { type: "boolean", default: false },
    /** Into a bucket, else into a folder. */
    s3: { type: "boolean", default: false },
    out: { type: "string" },
  },
});
const [uploads, bytes] = [Number(values.uploads), Number(values.bytes)];
const ROOT = new URL("../../", import.meta.url).pathname;

async function main(): Promise<void> {
  const [load] = Deno.loadavg();
  await using parts = new AsyncDisposableStack();
  const server = await serverOf(parts);
  const database = parts.use(await createTestDatabase(server));
  const clamd = parts.use(await Clamd.start());
  const scanner = parts.use(new ClamavRest(clamd));
  const place = values.s3 ? parts.use(await S3Server.start()).env() : ownFolder(parts);
  const node = parts.use(
    await startNodeProcess(database.url, {
      ...place,
      CLAMAV_REST_URL: scanner.url,
      CHAT_ALLOWED_FILE_TYPES: "*",
      CHAT_RATE_COMMANDS: "0",
      CHAT_RATE_CHANGES: "0",
      LOG_LEVEL: "debug",
    }),
  );
  const tokens = await Promise.all(Array.from({ length: uploads }, (_, i) => signToken(`user${i}`)));
  const owner = new FileClient(node.url, "owner", await signToken("owner"));
  const roomId = await owner.room(...tokens.map((token, i) => new FileClient(node.url, `user${i}`, token)));
  await owner.attach(roomId, (await owner.upload(roomId, "so that all is warm")).id);

  const rss = parts.use(new RssWatch(node.pid));
  const ask: ClientsAsk = { url: node.url, roomId, tokens, bytes, lengths: values.lengths };
  const clients = parts.use(await Child.start<ClientsAnswer>("clients.ts", ask));
  const result = await clients.next();
  const text = describe({
    ...{ uploads, bytes, lengths: values.lengths, s3: values.s3, result, rss: rss.figures() },
    load: load?.toFixed(1) ?? "",
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, Deno ${Deno.version.deno}`,
  });
  if (values.out === undefined) await Deno.stdout.write(new TextEncoder().encode(text));
  else await Deno.writeTextFile(values.out, text);
  if (result.damaged + result.missing > 0) Deno.exitCode = 1;
}

function ownFolder(parts: AsyncDisposableStack): Record<string, string> {
  const folder = `.data/files/bench-${crypto.randomUUID()}`;
  parts.defer(() => Deno.remove(join(ROOT, folder), { recursive: true }).catch(() => {}));
  return { FILES_DIR: folder };
}

await main();
