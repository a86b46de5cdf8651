/**
 * A process that owns an embedded Postgres, for tests that need one to kill. Arguments: data folder, database.
 * It prints one line of JSON for each thing that happens. SIGINT and SIGTERM make it stop its server, but not
 * before it has asked the server something, so that a server that died of the same signal is noticed. The end
 * of its stdin does the same: whoever started it has died.
 */
import postgres from "postgres";
import { EmbeddedPostgresInUse, startEmbeddedPostgres } from "../../src/embedded/postgres.ts";

export type OwnerLine =
  | { is: "progress"; line: string }
  | { is: "up"; url: string; milliseconds: number }
  | { is: "refused"; pid: number; message: string }
  | { is: "failed"; message: string }
  | { is: "answered"; rows: number }
  | { is: "stopped" };

function tell(line: OwnerLine): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
}

async function main(dataDir: string, database: string): Promise<void> {
  const stop = Promise.withResolvers<void>();
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, stop.resolve);
  new Response(Deno.stdin.readable).text().then(() => stop.resolve());
  const began = performance.now();
  await using server = await startEmbeddedPostgres({
    dataDir,
    database,
    settings: { fsync: "off" },
    onProgress: (line) => tell({ is: "progress", line }),
  });
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  await sql`create table if not exists kept (started int generated always as identity)`;
  await sql`insert into kept default values`;
  tell({ is: "up", url: server.url, milliseconds: Math.round(performance.now() - began) });
  await stop.promise;
  tell({ is: "answered", rows: (await sql`select from kept`).length });
  await sql.end();
  await server.stop();
  tell({ is: "stopped" });
}

if (import.meta.main) {
  try {
    await main(Deno.args[0] ?? "", Deno.args[1] ?? "");
    Deno.exit(0);
  } catch (error) {
    const { message } = error as Error;
    tell(
      error instanceof EmbeddedPostgresInUse
        ? { is: "refused", pid: error.pid, message }
        : { is: "failed", message },
    );
    Deno.exit(1);
  }
}
