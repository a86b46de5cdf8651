/** The store in a folder: the suite of all stores, and what only a disk can do. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { endChild } from "../helpers/child_process.ts";
import { mountSmallDisk } from "../helpers/small_disk.ts";
import { join } from "node:path";
import { newFileKey, StoreFull, StoreUnavailable } from "../../src/files/file_store.ts";
import { LocalFiles } from "../../src/files/local_files.ts";
import { bytesOf, inPieces, storeSuite } from "./store_suite.ts";

const asked = { signal: new AbortController().signal, mimeType: "text/plain" };

class Folder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(): Promise<Folder> {
    return new Folder(await Deno.makeTempDir({ prefix: "scroll-chat-files-" }));
  }

  /** Files of any kind but locks. */
  async inside(path = this.path): Promise<number> {
    let count = 0;
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (isDirectory) count += await this.inside(join(path, name));
      else if (!name.endsWith(".lock")) count++;
    }
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

storeSuite("LocalFiles", async () => {
  const folder = await Folder.make();
  const store = await LocalFiles.open(join(folder.path, "made", "by", "open"));
  return {
    store,
    inside: () => folder.inside(),
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
});

Deno.test("LocalFiles.open() removes what a killed store left, and nothing of one that lives", async () => {
  await using folder = await Folder.make();
  const program = `
    import { LocalFiles } from ${
    JSON.stringify(new URL("../../src/files/local_files.ts", import.meta.url).href)
  };
    const store = await LocalFiles.open(${JSON.stringify(folder.path)});
    async function* body() { yield new Uint8Array(1000); console.log("half"); await new Promise((r) => setTimeout(r, 60000)); }
    await store.put("a".repeat(20), body(), { signal: new AbortController().signal, mimeType: "" });`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", program],
    cwd: new URL("../../", import.meta.url).pathname,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  strictEqual(await folder.inside(), 1);
  {
    await using store = await LocalFiles.open(folder.path);
    strictEqual(await folder.inside(), 1); // its owner lives
    strictEqual(await store.removeUnfinished(), 0);
  }
  await endChild(child);
  await reader.cancel();
  await using store = await LocalFiles.open(folder.path);
  strictEqual(await folder.inside(), 0);
  deepStrictEqual(await Array.fromAsync(store.list()), []);
});

Deno.test("LocalFiles.put() on a full disk is StoreFull, leaves nothing, and works again when there is room", async () => {
  await using folder = await Folder.make();
  await using disk = await mountSmallDisk(folder.path, 1);
  if (disk === undefined) return;
  await using store = await LocalFiles.open(folder.path);
  await rejects(store.put(newFileKey(), inPieces(bytesOf(3_000_000)), asked), StoreFull);
  strictEqual(await folder.inside(), 0);
  deepStrictEqual(await store.put(newFileKey(), inPieces(bytesOf(500_000)), asked), { bytes: 500_000 });
});

Deno.test("LocalFiles of a folder that is gone is StoreUnavailable", async () => {
  await using folder = await Folder.make();
  await using store = await LocalFiles.open(join(folder.path, "files"));
  await Deno.remove(join(folder.path, "files"), { recursive: true });
  await rejects(store.put(newFileKey(), inPieces(bytesOf(1)), asked), StoreUnavailable);
});
