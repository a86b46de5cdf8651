/** Bombs and liars: what our own limits refuse, before a scanner calls it clean. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { type ArchiveLimits, guardArchive, type ReadRange } from "../../src/files/archive_guard.ts";
import { type FileKind, HEAD_BYTES, inspectHead, parseAllowedTypes } from "../../src/files/file_kind.ts";
import { FileRefused } from "../../src/files/file_refused.ts";
import { gzipOf, join, tarOf, zipOf } from "../helpers/archives.ts";
import { picture, sampleFiles } from "../helpers/sample_files.ts";
import { bytesOf } from "./store_suite.ts";

const MIB = 1024 * 1024;
const signal = new AbortController().signal;
const text = (content: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(content);
const anything = parseAllowedTypes(["*"]);

/** In pieces of odd sizes, as a store may send them. */
const reading = (bytes: Uint8Array): ReadRange => (range) => {
  const part = range === undefined ? bytes : bytes.subarray(range.start, range.end);
  return Promise.resolve(ReadableStream.from(
    (function* () {
      for (let at = 0; at < part.length; at += 7_919) yield part.subarray(at, at + 7_919);
    })(),
  ));
};

const kindOf = (bytes: Uint8Array, name = "file"): Promise<FileKind> =>
  inspectHead(bytes.subarray(0, HEAD_BYTES), { name, declaredType: undefined }, anything);

async function guard(bytes: Uint8Array, limits?: Partial<ArchiveLimits>, kind?: FileKind): Promise<string> {
  try {
    const ask = limits === undefined ? { signal } : { signal, limits };
    await guardArchive(reading(bytes), { bytes: bytes.length, kind: kind ?? await kindOf(bytes) }, ask);
    return "ok";
  } catch (error) {
    if (error instanceof FileRefused) return error.reason;
    throw error;
  }
}

const hello = text("hello");
const nested = (depth: number): Uint8Array<ArrayBuffer> =>
  depth === 1 ? zipOf({ "a.txt": hello }) : zipOf({ "inner.zip": nested(depth - 1) });
const zeros = (bytes: number): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

/** Does not shrink. */
const noise = (bytes: number): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(bytes));

/** 306 KB that hold 300 MiB, in one entry. */
let made: Uint8Array<ArrayBuffer> | undefined;
const bomb = (): Uint8Array<ArrayBuffer> => made ??= zipOf({ "zeros": zeros(300 * MIB) });

const CASES: [string, () => Uint8Array<ArrayBuffer>, string][] = [
  ["a zip", () => zipOf({ "a.txt": hello, "b/": zeros(0), "b/c.bin": bytesOf(100_000) }), "ok"],
  ["a stored zip", () => zipOf({ "a.txt": { data: hello, method: 0 } }), "ok"],
  ["an empty zip", () => zipOf({}), "ok"],
  ["a zip with a comment", () => zipOf({ "a": hello }, { comment: text("PK\x05\x06 is the end") }), "ok"],
  ["a zip64", () => zipOf({ "a": hello, "b": hello }, { zip64: true }), "ok"],
  ["a zip with sizes behind the data", () => zipOf({ "a": hello, "b": hello }, { descriptors: true }), "ok"],
  ["a text of 3 MB that shrinks well", () => zipOf({ "log": text("GET / 200\n".repeat(300_000)) }), "ok"],
  ["three deep", () => nested(3), "ok"],
  ["four deep", () => nested(4), "archive_too_deep"],
  ["forty deep", () => nested(40), "archive_too_deep"],
  ["a bomb", bomb, "archive_too_large"],
  [
    "a bomb in a zip",
    () => zipOf({ "inner.zip": bomb() }),
    "archive_too_large",
  ],
  ["a bomb that claims to be small", () => {
    const data = zeros(50 * MIB);
    return zipOf({ "a": { data: hello, packed: deflateRawSync(data), claims: { uncompressed: 5 } } });
  }, "archive_broken"],
  [
    "a file that claims to be large",
    () => zipOf({ "a": { data: hello, claims: { uncompressed: 500 * MIB } } }),
    "archive_broken",
  ],
  ["files that share their bytes", () => {
    const kernel = { data: zeros(3 * MIB), claims: { offset: 0 } };
    const other = {
      ...kernel,
      packed: new Uint8Array(),
      claims: { offset: 0, compressed: deflateRawSync(kernel.data).length },
    };
    return zipOf([["a", kernel], ...Array.from({ length: 50 }, (_, i) => [`b${i}`, other] as const)]);
  }, "archive_broken"],
  [
    "a file that shares its place with another",
    () => zipOf([["a", hello], ["b", { data: hello, claims: { offset: 0 } }]]),
    "archive_broken",
  ],
  [
    "too many files",
    () => zipOf(Array.from({ length: 10_001 }, (_, i) => [`${i}`, { data: zeros(0), method: 0 }] as const)),
    "archive_too_large",
  ],
  ["encrypted", () => zipOf({ "a": { data: hello, claims: { encrypted: true } } }), "encrypted"],
  [
    "packed in a way nobody here knows",
    () => zipOf({ "a": { data: hello, method: 14 } }),
    "archive_unsupported",
  ],
  [
    "with something in front",
    () => join([text("PK\x03\x04 not really"), zipOf({ "a": hello })]),
    "archive_broken",
  ],
  ["cut off", () => zipOf({ "a": noise(50_000) }).slice(0, 30_000), "archive_broken"],
  [
    "damaged",
    () => zipOf({ "a": bytesOf(50_000) }).map((byte, i) => i > 40 && i < 90 ? 0xff : byte),
    "archive_broken",
  ],
  ["a program of Java", () => zipOf({ "META-INF/MANIFEST.MF": hello, "A.class": hello }), "executable"],
  [
    "a program of Java whose first file is another",
    () => zipOf({ "z": bytesOf(9_000), "meta-inf/manifest.mf": hello }),
    "executable",
  ],
  [
    "a program of Android",
    () => zipOf({ "z": bytesOf(9_000), "AndroidManifest.xml": hello, "classes.dex": hello }),
    "executable",
  ],
  ["a library in a zip", () => zipOf({ "lib/a.jar": zipOf({ "META-INF/MANIFEST.MF": hello }) }), "ok"],
  ["a gzip", () => gzipOf(hello), "ok"],
  ["a gzip of several members", () => join([gzipOf(hello), gzipOf(hello)]), "ok"],
  ["a gzip that is a bomb", () => gzipOf(zeros(40 * MIB)), "archive_too_large"],
  ["a gzip that is damaged", () => join([gzipOf(hello).slice(0, 12), text("nonsense")]), "archive_broken"],
  ["a gzip that is cut off", () => gzipOf(noise(60_000)).slice(0, 40_000), "archive_broken"],
  ["gzip in gzip in gzip in gzip", () => gzipOf(gzipOf(gzipOf(gzipOf(hello)))), "archive_too_deep"],
  ["a tar.gz with a zip", () => gzipOf(tarOf({ "a.txt": hello, "b.zip": nested(2) })), "ok"],
  [
    "a tar.gz with a bomb",
    () => gzipOf(tarOf({ "a.txt": hello, "b.zip": zipOf({ "zeros": zeros(40 * MIB) }) })),
    "archive_too_large",
  ],
  ["a tar", () => tarOf({ "a.txt": hello, "b.bin": bytesOf(5_000) }), "ok"],
  ["a tar that ends too early", () => tarOf({ "a.bin": bytesOf(9_000) }).slice(0, 5_000), "archive_broken"],
  [
    "a 7z in a zip",
    () => zipOf({ "a.7z": join([Uint8Array.fromHex("377abcaf271c"), bytesOf(100)]) }),
    "archive_unsupported",
  ],
  ["a 7z", () => join([Uint8Array.fromHex("377abcaf271c0004"), bytesOf(100)]), "archive_unsupported"],
  ["a picture", picture, "ok"],
  ["a picture with a zip behind it", () => join([picture(), zipOf({ "a": hello })]), "polyglot"],
  ["a PDF with a zip behind it", () => join([text("%PDF-1.4\n%%EOF\n"), zipOf({ "a": hello })]), "polyglot"],
  [
    "a text with a zip behind it",
    () => join([text("hello\n".repeat(1_000)), zipOf({ "a": hello })]),
    "polyglot",
  ],
];

for (const [what, make, expected] of CASES) {
  Deno.test(`guardArchive() of ${what}: ${expected}`, async () => strictEqual(await guard(make()), expected));
}

Deno.test("guardArchive() lets all sample files pass", async () => {
  for (const { name, bytes, declaredType } of sampleFiles()) {
    const kind = await inspectHead(bytes.subarray(0, HEAD_BYTES), { name, declaredType }, anything);
    strictEqual(await guard(bytes, {}, kind), "ok", name);
  }
});

Deno.test("guardArchive() refuses a zip that is only called a document, and an installer among old documents", async () => {
  const document = sampleFiles().find(({ name }) => name === "a.docx");
  ok(document);
  const zip = zipOf({ "a.txt": hello });
  const { name, declaredType } = document;
  const kind = await inspectHead(zip, { name, declaredType }, anything);
  strictEqual(kind.mimeType, declaredType);
  strictEqual(await guard(zip, {}, kind), "type_contradicted");

  const compound = (id: string): Uint8Array<ArrayBuffer> => {
    const file = new Uint8Array(2_048);
    file.set(Uint8Array.fromHex("d0cf11e0a1b11ae1"));
    file.set([9, 0], 30);
    file.set([1, 0, 0, 0], 48);
    file.set(Uint8Array.fromHex(id), 1_024 + 80);
    return file;
  };
  strictEqual(await guard(compound("84100c0000000000c000000000000046")), "executable");
  strictEqual(await guard(compound("0609020000000000c000000000000046")), "ok");
});

Deno.test("guardArchive() costs little memory, whatever comes out, and lets others have their turns", async () => {
  const bytes = bomb();
  const before = Deno.memoryUsage().rss;
  let turns = 0;
  const others = setInterval(() => turns++, 1);
  const limits = { totalBytes: 400 * MIB, ratio: 2_000 };
  strictEqual(await guard(bytes, limits), "ok");
  const grown = Deno.memoryUsage().rss - before;
  clearInterval(others);
  ok(turns > 20, `others had ${turns} turns meanwhile`);
  ok(grown < 120 * MIB, `${grown / MIB} MiB`);
});

Deno.test("guardArchive() ends when it is told to, and passes on what the store throws", async () => {
  const bytes = bomb();
  const kind = await kindOf(bytes);
  const stop = new AbortController();
  const reason = new Error("told to");
  setTimeout(() => stop.abort(reason), 20);
  const limits = { totalBytes: 400 * MIB, ratio: 2_000 };
  await rejects(
    guardArchive(reading(bytes), { bytes: bytes.length, kind }, { signal: stop.signal, limits }),
    reason,
  );
  const fault = new Error("the store is gone");
  let reads = 0;
  const fails: ReadRange = (range, own) => ++reads < 4 ? reading(bytes)(range, own) : Promise.reject(fault);
  await rejects(guardArchive(fails, { bytes: bytes.length, kind }, { signal }), fault);
});

Deno.test("guardArchive() of any bytes refuses or lets pass, and throws nothing else", async () => {
  const seeds = [
    zipOf({ "a": hello, "b": zipOf({ "c": hello }) }),
    zipOf({ "a": hello }, { zip64: true }),
    gzipOf(hello),
    tarOf({ "a": hello }),
  ];
  const broken = fc.tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(1_000), fc.nat(255)), { maxLength: 12 }),
  )
    .map(([seed, changes]) => {
      const bytes = seed.slice();
      for (const [at, value] of changes) bytes[(bytes.length * 7 - at) % bytes.length] = value;
      return bytes;
    });
  const kinds = fc.constantFrom<FileKind["packed"]>("zip", "gzip", "tar", "compound", undefined);
  const results = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.oneof(broken, fc.uint8Array({ maxLength: 300 })), kinds, async (bytes, packed) => {
      const kind: FileKind = {
        mimeType: "application/zip",
        family: "archive",
        inline: false,
        charset: undefined,
        packed,
      };
      results.add(await guard(bytes, {}, kind));
    }),
    { numRuns: 400 },
  );
  deepStrictEqual(results.has("ok") && results.has("archive_broken"), true, [...results].join());
});
