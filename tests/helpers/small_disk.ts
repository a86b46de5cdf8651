/** A disk that is soon full: a tmpfs over a folder, until it is disposed. Needs root, or sudo that does not ask. */
import { ok } from "node:assert/strict";

/** Undefined, and said why, where nobody may mount anything; in CI that is a failure. */
export async function mountSmallDisk(folder: string, mib: number): Promise<AsyncDisposable | undefined> {
  if (await asRoot("mount", "-t", "tmpfs", "-o", `size=${mib}m,mode=0777`, "tmpfs", folder)) {
    return { [Symbol.asyncDispose]: async () => ok(await asRoot("umount", folder)) };
  }
  const text = "A small disk needs root, or sudo without a password: nothing was filled here\n";
  ok(Deno.env.get("CI") !== "true", text);
  await Deno.stderr.write(new TextEncoder().encode(text));
  return undefined;
}

async function asRoot(...words: string[]): Promise<boolean> {
  const [program = "", ...args] = Deno.uid() === 0 ? words : ["sudo", "-n", ...words];
  try {
    return (await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false; // there is no such program
  }
}
