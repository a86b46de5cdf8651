/** The Postgres of a bench: an embedded one in a folder that goes with it, unless BENCH_DATABASE_URL names another. */
import { join } from "node:path";
import { startEmbeddedPostgres } from "../src/embedded/postgres.ts";

export async function serverOf(
  parts: AsyncDisposableStack,
  settings: Record<string, string> = {},
): Promise<string> {
  const named = Deno.env.get("BENCH_DATABASE_URL");
  if (named !== undefined) return named;
  const folder = await Deno.makeTempDir({ prefix: "scroll-chat-bench-" });
  parts.defer(() => Deno.remove(folder, { recursive: true }));
  await Deno.chmod(folder, 0o755); // Postgres may run as somebody else
  const { url } = parts.use(
    await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), database: "postgres", settings }),
  );
  return url;
}
