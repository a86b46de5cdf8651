/**
 * What others may know about a running embedded Postgres: one file in the data folder, there while it runs.
 * It holds the password, so only the owner's account can read it. It may outlive a killed owner, and the
 * server too: whoever reads it is told only of servers that live.
 */
import { join } from "node:path";
import { findProcess, isRunning } from "./processes.ts";
import { ownLikeParent } from "./folders.ts";

export interface EmbeddedPostgresState {
  readonly pid: number;
  readonly port: number;
  readonly url: string;
}

/** The server that runs on this data folder, whichever process owns it. */
export async function findEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgresState | undefined> {
  const text = await Deno.readTextFile(stateFile(dataDir)).catch(() => undefined);
  if (text === undefined) return undefined;
  const state: EmbeddedPostgresState & { birth: string } = JSON.parse(text);
  return await isRunning(state) ? { pid: state.pid, port: state.port, url: state.url } : undefined;
}

export async function writeState(dataDir: string, state: EmbeddedPostgresState): Promise<void> {
  const birth = (await findProcess(state.pid))?.birth ?? "";
  const unfinished = `${stateFile(dataDir)}.${Deno.pid}`;
  await Deno.writeTextFile(unfinished, JSON.stringify({ ...state, birth }), { mode: 0o600 });
  await ownLikeParent(unfinished);
  await Deno.rename(unfinished, stateFile(dataDir));
}

export async function removeState(dataDir: string): Promise<void> {
  await Deno.remove(stateFile(dataDir)).catch(() => {}); // gone with its folder
}

function stateFile(dataDir: string): string {
  return join(dataDir, "postgres.json");
}
