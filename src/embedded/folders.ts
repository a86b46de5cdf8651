/**
 * Folders that several accounts must be able to use. What we make is passable whatever the umask is, and
 * what root makes inside someone's clone belongs to that someone, so that a later run without root works.
 */
import { dirname } from "node:path";

export function isRoot(): boolean {
  return Deno.uid() === 0;
}

/** Makes a folder and its missing parents. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await makeFolder(dirname(path));
    return await makeFolder(path);
  }
  await Deno.chmod(path, 0o755);
  await ownLikeParent(path);
}

/** As root, gives what we made to the owner of the folder around it. */
export async function ownLikeParent(path: string): Promise<void> {
  if (!isRoot()) return;
  const parent = await Deno.stat(dirname(path));
  await Deno.chown(path, parent.uid, parent.gid);
}

/** Gives a whole tree to an account. Links are left alone, as are places they lead to. */
export async function ownTree(path: string, uid: number, gid: number): Promise<void> {
  for await (const entry of Deno.readDir(path)) {
    if (entry.isDirectory) await ownTree(`${path}/${entry.name}`, uid, gid);
    else if (entry.isFile) await Deno.chown(`${path}/${entry.name}`, uid, gid);
  }
  await Deno.chown(path, uid, gid);
}

/** Copies a tree, except what `skip` names; links stay links. */
export async function copyTree(from: string, to: string, skip: (name: string) => boolean): Promise<void> {
  await Deno.mkdir(to);
  await Deno.chmod(to, 0o755);
  for await (const entry of Deno.readDir(from)) {
    if (skip(entry.name)) continue;
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory) await copyTree(source, target, skip);
    else if (entry.isSymlink) await Deno.symlink(await Deno.readLink(source), target);
    else {
      await Deno.copyFile(source, target);
      const mode = (await Deno.stat(source)).mode ?? 0;
      await Deno.chmod(target, (mode & 0o111) === 0 ? 0o644 : 0o755);
    }
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
