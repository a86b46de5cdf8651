/**
 * The owner lock: at most one live process runs the cluster of a data folder. The truth is the kernel's lock
 * on the file, which falls away with its holder however it dies and which no reused pid can hold; what the
 * file says (pid, birth) tells others whom to ask. The file itself stays: removing it would let two processes
 * lock two files of one name.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ownLikeParent } from "./folders.ts";
import { findProcess, isRunning } from "./processes.ts";

interface Owner {
  pid: number;
  birth: string;
  since: string;
}

/** Thrown when another live process owns the cluster. */
export class EmbeddedPostgresInUse extends Error {
  override readonly name = "EmbeddedPostgresInUse";
  /** The process that owns it; 0 when it has not yet said who it is. */
  readonly pid: number;

  constructor(dataDir: string, pid: number, since?: string) {
    const who = pid === 0 ? "another process" : `process ${pid}`;
    const age = since === undefined ? "" : ` (running since ${since})`;
    const stop = pid === 0 ? "Stop it" : `Stop it first (kill ${pid})`;
    super(
      `The database in ${dataDir} is in use by ${who}${age}. ${stop}, or use another data folder (SCROLL_DATA_DIR).`,
    );
    this.pid = pid;
  }
}

export class OwnerLock implements Disposable {
  readonly #file: Deno.FsFile;
  #held = true;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Takes the lock at once or throws EmbeddedPostgresInUse. */
  static async take(dataDir: string): Promise<OwnerLock> {
    const path = join(dataDir, "owner.json");
    for (;;) {
      const file = await open(path);
      try {
        if (!await tryLock(file, path)) throw await inUse(dataDir, path);
        if (await isStillAt(file, path)) {
          await writeOwner(file);
          return new OwnerLock(file);
        }
      } catch (error) {
        file.close();
        throw error;
      }
      file.close(); // somebody removed the folder between our open and our lock
    }
  }

  [Symbol.dispose](): void {
    if (!this.#held) return;
    this.#held = false;
    this.#file.truncateSync(0);
    this.#file.unlockSync();
    this.#file.close();
  }
}

async function open(path: string): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o644 });
    await ownLikeParent(path);
    return file;
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new Error(
      `Cannot write ${path}: it belongs to another user, perhaps because an earlier run was root. ` +
        "Run as that user, give the folder to this user (chown -R), or use another data folder (SCROLL_DATA_DIR).",
      { cause: error },
    );
  }
}

/** A few network file systems cannot lock; there what the file says has to do. */
async function tryLock(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    return await file.tryLock(true);
  } catch {
    const owner = await readOwner(path);
    return owner === undefined || !await isRunning(owner);
  }
}

async function isStillAt(file: Deno.FsFile, path: string): Promise<boolean> {
  const [held, named] = await Promise.all([file.stat(), Deno.stat(path).catch(() => undefined)]);
  return named !== undefined && named.ino === held.ino && named.dev === held.dev;
}

async function writeOwner(file: Deno.FsFile): Promise<void> {
  const birth = (await findProcess(Deno.pid))?.birth ?? "";
  const owner: Owner = { pid: Deno.pid, birth, since: new Date().toISOString() };
  await file.truncate(0);
  await file.write(new TextEncoder().encode(JSON.stringify(owner)));
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    const owner: Partial<Owner> | null = JSON.parse(await Deno.readTextFile(path));
    return typeof owner?.pid === "number" ? { birth: "", since: "", ...owner, pid: owner.pid } : undefined;
  } catch {
    return undefined;
  }
}

/** The holder writes its name just after it has locked: give it a moment. */
async function inUse(dataDir: string, path: string): Promise<EmbeddedPostgresInUse> {
  for (let turn = 0; turn < 10; turn++) {
    const owner = await readOwner(path);
    if (owner !== undefined) return new EmbeddedPostgresInUse(dataDir, owner.pid, owner.since);
    await sleep(20);
  }
  return new EmbeddedPostgresInUse(dataDir, 0);
}
