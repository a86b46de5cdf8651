/** What every store of files keeps to. `inside` counts all that lies in it, unfinished things included. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { FileMissing, type FileStore, newFileKey } from "../../src/files/file_store.ts";

export interface StoreUnderTest extends AsyncDisposable {
  store: FileStore;
  inside(): Promise<number>;
}

const MIB = 1024 * 1024;
const never = new AbortController().signal;
const asked = { signal: never, mimeType: "text/plain" };

export function bytesOf(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = seed; i < length; i++) bytes[i] = (x = (x * 1_103_515_245 + 12_345) & 0x7fffffff) >> 16;
  return bytes;
}

export async function* inPieces(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    yield bytes.subarray(at, at + size);
  }
}

export const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();

export const read = async (stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await new Response(stream).arrayBuffer());

export function storeSuite(name: string, start: () => Promise<StoreUnderTest>): void {
  Deno.test(`${name} keeps what every store of files keeps`, async (test) => {
    await using place = await start();
    const { store } = place;

    for (const length of [0, 1, 65_537, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 11 * MIB]) {
      await test.step(`put() and get() of ${length} bytes`, async () => {
        const [key, bytes] = [newFileKey(), bytesOf(length, length)];
        deepStrictEqual(await store.put(key, inPieces(bytes, 60_000), asked), { bytes: length });
        strictEqual(await sha256(await read(await store.get(key, undefined))), await sha256(bytes));
        await store.delete([key]);
        strictEqual(await place.inside(), 0);
      });
    }

    await test.step("put() takes pieces of any size", async () => {
      const [key, bytes] = [newFileKey(), bytesOf(6 * MIB)];
      await store.put(key, inPieces(bytes, 6 * MIB), asked);
      strictEqual(await sha256(await read(await store.get(key, undefined))), await sha256(bytes));
      await store.delete([key]);
    });

    await test.step("get() of ranges", async () => {
      const [key, bytes] = [newFileKey(), bytesOf(100_000)];
      await store.put(key, inPieces(bytes), asked);
      const ranges: [number, number][] = [
        [0, 2],
        [0, 100_000],
        [99_999, 100_000],
        [65_000, 70_000],
        [
          99_000,
          200_000,
        ],
        [100_000, 100_001],
        [200_000, 300_000],
        [5, 5],
      ];
      for (const [start, end] of ranges) {
        const part = await read(await store.get(key, { start, end }));
        strictEqual(await sha256(part), await sha256(bytes.slice(start, end)), `${start}-${end}`);
      }
      await (await store.get(key, { start: 10, end: 90_000 })).cancel();
      await store.delete([key]);
    });

    await test.step("get() of what is missing, delete() of what is missing", async () => {
      await rejects(store.get(newFileKey(), undefined), FileMissing);
      await rejects(store.get(newFileKey(), { start: 0, end: 5 }), FileMissing);
      await store.delete([newFileKey(), newFileKey()]);
      await store.delete([]);
    });

    await test.step("list() names all, with their sizes and times", async () => {
      const files = new Map(Array.from({ length: 12 }, (_, i) => [newFileKey(), i * 10] as const));
      for (const [key, length] of files) await store.put(key, inPieces(bytesOf(length)), asked);
      const listed = await Array.fromAsync(store.list());
      deepStrictEqual(new Map(listed.map(({ key, bytes }) => [key, bytes])).size, 12);
      for (const { key, bytes, modifiedAt } of listed) {
        strictEqual(bytes, files.get(key));
        strictEqual(Math.abs(modifiedAt.getTime() - Date.now()) < 120_000, true);
      }
      await store.delete([...files.keys()]);
      deepStrictEqual(await Array.fromAsync(store.list()), []);
    });

    for (const [what, length] of [["the first part", 100_000], ["the third part", 11 * MIB]] as const) {
      await test.step(`nothing is left when the body fails in ${what}`, async () => {
        const fault = new Error("the client hung up");
        await rejects(
          store.put(
            newFileKey(),
            async function* () {
              yield* inPieces(bytesOf(length));
              throw fault;
            }(),
            asked,
          ),
          fault,
        );
        strictEqual(await place.inside(), 0);
      });

      await test.step(`nothing is left when it is aborted in ${what}, though the body hangs`, async () => {
        const stop = new AbortController();
        const reason = new Error("too late");
        let isClosed = false;
        const body = async function* () {
          try {
            yield* inPieces(bytesOf(length));
            setTimeout(() => stop.abort(reason), 10);
            await new Promise((resolve) => setTimeout(resolve, 100));
            yield bytesOf(1);
          } finally {
            isClosed = true;
          }
        };
        await rejects(store.put(newFileKey(), body(), { ...asked, signal: stop.signal }), reason);
        strictEqual(await place.inside(), 0);
        while (!isClosed) await new Promise((resolve) => setTimeout(resolve, 10));
      });
    }

    await test.step("many puts at once", async () => {
      const keys = Array.from({ length: 12 }, newFileKey);
      const bytes = keys.map((_, i) => bytesOf(i % 3 === 0 ? 6 * MIB : 70_000, i + 1));
      await Promise.all(keys.map((key, i) => store.put(key, inPieces(bytes[i] ?? bytesOf(0)), asked)));
      for (const [i, key] of keys.entries()) {
        strictEqual(
          await sha256(await read(await store.get(key, undefined))),
          await sha256(bytes[i] ?? bytesOf(0)),
        );
      }
      await store.delete(keys);
      strictEqual(await place.inside(), 0);
    });

    await test.step("keys that are paths are a fault of ours", async () => {
      for (
        const key of ["../../etc/passwd", "a/b/c/d/e", "short", "a".repeat(129), "with space!", "nul\0nul\0"]
      ) {
        await rejects(store.put(key, inPieces(bytesOf(1)), asked), TypeError);
        await rejects(store.get(key, undefined), TypeError);
        await rejects(store.delete([key]), TypeError);
      }
    });
  });
}
