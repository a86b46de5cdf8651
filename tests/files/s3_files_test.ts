/** The store in a bucket: the suite of all stores on a real S3 server, and every failure in the middle of a put. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { FileMissing, newFileKey, StoreFull, StoreUnavailable } from "../../src/files/file_store.ts";
import { baseOf } from "../../src/files/s3_request.ts";
import { S3Files, type S3FilesOptions } from "../../src/files/s3_files.ts";
import { createLog } from "../../src/log.ts";
import { type S3Fault, S3Server } from "../helpers/s3_server.ts";
import { bytesOf, inPieces, read, sha256, storeSuite } from "./store_suite.ts";

const MIB = 1024 * 1024;
const signal = new AbortController().signal;
const asked = { signal, mimeType: "text/plain" };
const silent = createLog("error", () => {});

const inside = async (server: S3Server): Promise<number> => {
  const { objects, uploads } = await server.contents();
  return objects.length + uploads.length;
};

storeSuite("S3Files", async () => {
  const server = await S3Server.start();
  return {
    store: new S3Files(server.options(), silent),
    inside: () => inside(server),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

Deno.test("S3Files on a server that fails", async (test) => {
  await using server = await S3Server.start();
  const files = (more: Partial<S3FilesOptions> = {}): S3Files => new S3Files(server.options(more), silent);
  const store = files();
  const large = bytesOf(11 * MIB);

  const passing: [string, S3Fault][] = [
    ["a part that is cut off", { step: "PUT part", is: { cutAfter: 100_000 }, times: 1 }],
    ["500 for a part, three times", { step: "PUT part", is: { status: 500 }, times: 3 }],
    ["SlowDown", { step: "PUT part", is: { status: 503, code: "SlowDown" }, times: 2 }],
    ["a part whose answer is lost", { step: "PUT part", is: "lost_answer", times: 1 }],
    ["a beginning that fails", { step: "POST begin", is: { status: 500 }, times: 2 }],
    ["a join whose answer is lost", { step: "POST join", is: "lost_answer", times: 1 }],
    ["a join that fails at first", { step: "POST join", is: { status: 500 }, times: 1 }],
  ];
  for (const [what, fault] of passing) {
    await test.step(`put() gets over ${what}`, async () => {
      server.faults.push(fault);
      const key = newFileKey();
      await store.put(key, inPieces(large), asked);
      strictEqual(fault.times, 0);
      strictEqual(await sha256(await read(await store.get(key, undefined))), await sha256(large));
      await store.delete([key]);
      strictEqual(await inside(server), 0);
    });
  }

  const lasting: [string, S3Fault][] = [
    ["parts fail", { step: "PUT part", is: { status: 500 }, times: 9 }],
    ["parts are cut", { step: "PUT part", is: { cutAfter: 1 }, times: 9 }],
    ["the third part is refused", { step: "PUT part", is: { status: 403, code: "AccessDenied" }, times: 1 }],
    ["the join fails", { step: "POST join", is: { status: 500 }, times: 9 }],
    ["the join fails under a 200", {
      step: "POST join",
      is: { status: 200, code: "InternalError" },
      times: 9,
    }],
  ];
  for (const [what, fault] of lasting) {
    await test.step(`put() fails and leaves nothing when ${what}`, async () => {
      server.faults.push(fault);
      await rejects(store.put(newFileKey(), inPieces(large), asked), StoreUnavailable);
      server.faults.length = 0;
      strictEqual(await inside(server), 0);
    });
  }

  await test.step("put() of a small file that was stored but never answered leaves nothing", async () => {
    server.faults.push({ step: "PUT", is: "lost_answer", times: 4 });
    await rejects(store.put(newFileKey(), inPieces(bytesOf(10)), asked), StoreUnavailable);
    strictEqual(await inside(server), 0);
  });

  await test.step("a full store is StoreFull", async () => {
    server.faults.push({ step: "PUT", is: { status: 507, code: "XMinioStorageFull" }, times: 1 });
    await rejects(store.put(newFileKey(), inPieces(bytesOf(10)), asked), StoreFull);
  });

  await test.step("a server that stands still is given up in time", async () => {
    server.faults.push({ step: "PUT", is: { delayMs: 300 }, times: 2 });
    const started = performance.now();
    const impatient = files({ timeoutMs: 100, attempts: 2 });
    await rejects(impatient.put(newFileKey(), inPieces(bytesOf(10)), asked), /not answered within 100 ms/);
    ok(performance.now() - started < 10_000);
  });

  await test.step("a slow server is waited for", async () => {
    server.faults.push({ step: "PUT", is: { delayMs: 300 }, times: 1 });
    const key = newFileKey();
    await store.put(key, inPieces(bytesOf(10)), asked);
    await store.delete([key]);
  });

  await test.step("get() of half an answer is an error, not a shorter file", async () => {
    const key = newFileKey();
    await store.put(key, inPieces(large), asked);
    server.faults.push({ step: "GET", is: "half_answer", times: 1 });
    const stream = await store.get(key, undefined);
    await rejects(read(stream), StoreUnavailable);
    server.faults.push({ step: "GET", is: { status: 500 }, times: 2 });
    strictEqual((await read(await store.get(key, { start: 5, end: 10 }))).length, 5);
    await store.delete([key]);
  });

  await test.step("get() ends when it is told to", async () => {
    const key = newFileKey();
    await store.put(key, inPieces(large), asked);
    const stop = new AbortController();
    const reader = (await store.get(key, undefined, stop.signal)).getReader();
    await reader.read();
    stop.abort(new Error("told to"));
    await rejects(async () => {
      while (!(await reader.read()).done);
    }, /told to/);
    await store.delete([key]);
  });

  await test.step("wrong keys are told without naming them", async () => {
    const fault = await files({ secretAccessKey: "not-the-secret" }).put(
      newFileKey(),
      inPieces(bytesOf(1)),
      asked,
    )
      .catch((error) => error);
    ok(fault instanceof StoreUnavailable);
    strictEqual(/not-the-secret|127\.0\.0\.1/.test(fault.message), false);
    await rejects(files({ bucket: "nobodys" }).get(newFileKey(), undefined), StoreUnavailable);
  });

  await test.step("removeUnfinished() ends uploads that a killed node left, by their age, and no living one", async () => {
    const killed = new AbortController();
    server.faults.push({ step: "DELETE upload", is: { status: 500 }, times: 99 });
    const fails = async function* () {
      yield* inPieces(bytesOf(6 * MIB));
      throw new Error("killed");
    };
    await rejects(store.put(newFileKey(), fails(), { ...asked, signal: killed.signal }), /killed/);
    server.faults.length = 0;
    strictEqual((await server.contents()).uploads.length, 1);
    strictEqual(await store.removeUnfinished(new Date(Date.now() - 60_000)), 0);
    const gate = Promise.withResolvers<void>();
    const key = newFileKey();
    const living = store.put(
      key,
      async function* () {
        yield* inPieces(bytesOf(6 * MIB));
        await gate.promise;
      }(),
      asked,
    );
    while ((await server.contents()).uploads.length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    strictEqual(await store.removeUnfinished(new Date(Date.now() + 60_000)), 1);
    gate.resolve();
    deepStrictEqual(await living, { bytes: 6 * MIB });
    await store.delete([key]);
    strictEqual(await inside(server), 0);
  });

  await test.step("list() goes on page by page, and sees only its own prefix", async () => {
    const other = files({ prefix: "other/" });
    const keys = Array.from({ length: 3 }, newFileKey);
    for (const key of keys) await store.put(key, inPieces(bytesOf(1)), asked);
    await other.put(newFileKey(), inPieces(bytesOf(1)), asked);
    const paged = files({ pageSize: 2 });
    server.steps.length = 0;
    deepStrictEqual((await Array.fromAsync(paged.list(), ({ key }) => key)).toSorted(), keys.toSorted());
    deepStrictEqual(server.steps, ["GET list", "GET list"]);
    await store.delete(keys);
    await other.delete(await Array.fromAsync(other.list(), ({ key }) => key));
    strictEqual(await inside(server), 0);
  });

  await test.step("a server killed in the middle of a put: an error, and all is well when it is back", async () => {
    let sent = 0;
    const body = async function* () {
      for await (const piece of inPieces(large)) {
        sent += piece.length;
        if (sent > 6 * MIB && sent < 6 * MIB + 70_000) await server.kill();
        yield piece;
      }
    };
    await rejects(store.put(newFileKey(), body(), asked), StoreUnavailable);
    await server.restart();
    await store.removeUnfinished(new Date(Date.now() + 60_000));
    strictEqual(await inside(server), 0);
    await rejects(store.get(newFileKey(), undefined), FileMissing);
  });
});

Deno.test("baseOf() names the bucket in the path or in the host", () => {
  const at = (endpoint: string, pathStyle: boolean) => baseOf({ endpoint, bucket: "files", pathStyle }).href;
  strictEqual(at("https://fly.storage.tigris.dev", false), "https://files.fly.storage.tigris.dev/");
  strictEqual(at("http://127.0.0.1:9000/", true), "http://127.0.0.1:9000/files/");
  strictEqual(at("https://s3.example.com/base", true), "https://s3.example.com/base/files/");
});
