/** s3rver as a process of its own, so that it can be killed: port, folder, bucket. Its package has no types. */
import { createRequire } from "node:module";

const S3rver = createRequire(import.meta.url)("s3rver");
const [port, directory, bucket] = Deno.args;
await new S3rver({
  address: "127.0.0.1",
  port: Number(port),
  directory,
  silent: true,
  configureBuckets: [{ name: bucket }],
}).run();
await Deno.stdout.write(new TextEncoder().encode("up\n"));
