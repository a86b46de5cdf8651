/** What development brings along instead of an operator: a Postgres of its own, and a secret that lasts. */
import { startEmbeddedPostgres } from "./postgres.ts";

export interface Development extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly jwtSecret: string;
}

/** `databaseUrl`: of a Postgres that is there already; then none is started. */
export async function prepareDevelopment(
  options: { dataDir: string; databaseUrl: string | undefined; onProgress: (line: string) => void },
): Promise<Development> {
  const { dataDir, databaseUrl, onProgress } = options;
  await using parts = new AsyncDisposableStack();
  const url = databaseUrl ??
    parts.use(
      await startEmbeddedPostgres({ dataDir: `${dataDir}/postgres`, database: "scroll_chat", onProgress }),
    ).url;
  const jwtSecret = await lastingSecret(`${dataDir}/jwt_secret`);
  const owned = parts.move();
  return { databaseUrl: url, jwtSecret, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Kept, so that tokens outlive a restart. */
async function lastingSecret(path: string): Promise<string> {
  const known = await Deno.readTextFile(path).catch(() => "");
  if (known.length >= 32) return known;
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  const secret = crypto.getRandomValues(new Uint8Array(32)).toHex();
  await Deno.writeTextFile(path, secret, { mode: 0o600 });
  return secret;
}
