/** What files are: real ones of many kinds, programs under any name, files that are two things, and any bytes at all. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { type AllowedTypes, HEAD_BYTES, inspectHead, parseAllowedTypes } from "../../src/files/file_kind.ts";
import { FileRefused } from "../../src/files/file_refused.ts";
import { gzipOf, join, zipOf } from "../helpers/archives.ts";
import { picture, sampleFiles } from "../helpers/sample_files.ts";

const anything = parseAllowedTypes(["*"]);
/** As the specification sets it. */
const byDefault = parseAllowedTypes(["image/*", "application/pdf", "text/*", "video/*", "audio/*"]);
const text = (content: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(content);
const hex = (digits: string): Uint8Array<ArrayBuffer> => Uint8Array.fromHex(digits.replaceAll(" ", ""));
const padded = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => join([bytes, new Uint8Array(600).fill(1)]);

/** The type, or why it is refused. */
async function kindOf(
  bytes: Uint8Array,
  name = "file",
  declaredType?: string,
  allowed: AllowedTypes = anything,
): Promise<string> {
  try {
    const kind = await inspectHead(bytes.subarray(0, HEAD_BYTES), { name, declaredType }, allowed);
    return `${kind.mimeType}${kind.inline ? " inline" : ""}`;
  } catch (error) {
    if (error instanceof FileRefused) return error.reason;
    throw error;
  }
}

for (const { name, declaredType, bytes, mimeType, allowedByDefault } of sampleFiles()) {
  Deno.test(`inspectHead() of ${name}: ${mimeType}, ${allowedByDefault ? "" : "not "}taken by default`, async () => {
    const served = (await kindOf(bytes, name, declaredType)).replace(" inline", "");
    strictEqual(served, mimeType);
    const taken = (await kindOf(bytes, name, declaredType, byDefault)).replace(" inline", "");
    strictEqual(taken, allowedByDefault ? mimeType : "type_not_allowed");
  });
}

const PROGRAMS: [string, Uint8Array][] = [
  ["ELF", padded(hex("7f454c46 02010100"))],
  ["PE", padded(hex("4d5a9000 03000000 04000000 ffff0000"))],
  ["Mach-O", padded(hex("cffaedfe 07000001"))],
  ["Mach-O of 32 bits", padded(hex("feedface 00000012"))],
  ["Mach-O for several machines", padded(hex("cafebabe 00000002"))],
  ["Mach-O for several machines, 64 bits", padded(hex("cafebabf 00000002"))],
  ["class of Java", padded(hex("cafebabe 00000041"))],
  ["WebAssembly", hex("0061736d 01000000")],
  ["dex", padded(text("dex\n035\0"))],
  ["script", text("#!/bin/sh\nrm -rf /\n")],
  ["script behind a mark", join([hex("efbbbf"), text("#! /usr/bin/env python3\n")])],
  ["jar", zipOf({ "META-INF/MANIFEST.MF": text("Manifest-Version: 1.0\n"), "A.class": hex("cafebabe") })],
  ["apk", zipOf({ "classes.dex": text("dex") })],
  ["shortcut", padded(hex("4c000000 01140200 00000000 c0000000 00000046"))],
  ["deb", text("!<arch>\ndebian-binary   ")],
  ["rpm", padded(hex("edabeedb 0300"))],
];

for (const [what, bytes] of PROGRAMS) {
  Deno.test(`inspectHead() refuses a program, whatever it is called: ${what}`, async () => {
    const names: [string, string | undefined][] = [
      ["program", undefined],
      ["photo.png", "image/png"],
      ["notes.txt", "text/plain"],
      ["notes.txt", "application/octet-stream"],
      ["paper.pdf", "application/pdf"],
    ];
    for (const [name, type] of names) strictEqual(await kindOf(bytes, name, type), "executable", name);
  });
}

Deno.test("inspectHead() refuses what Windows runs by its name, also where the name hides it", async () => {
  const names = [
    "a.bat",
    "a.CMD",
    "a.exe",
    "invoice.pdf.exe",
    "a.scr",
    "a.vbs",
    "a.hta",
    "a.lnk",
    "a.reg",
    "a.msi",
    "a.url",
  ];
  const hidden = [
    "a.exe.",
    "a.exe  ",
    "a.bat. .",
    "photo\u202egpj.exe",
    "a\0.exe",
    `${"a".repeat(10_000)}.exe`,
    "dir/a.exe",
  ];
  for (const name of [...names, ...hidden]) {
    strictEqual(await kindOf(text("@echo off"), name, "text/plain"), "executable", name);
  }
  for (const name of ["a.js", "a.py", "a.rs", "a.exe.txt", "exe", "a.vb"]) {
    strictEqual(await kindOf(text("#![allow(x)]"), name, "text/plain"), "text/plain inline", name);
  }
});

const HOSTILE: [string, Uint8Array, string, string | undefined, string][] = [
  ["nothing", new Uint8Array(), "a.txt", "text/plain", "empty"],
  ["HTML as a picture", text("<html><script>alert(1)</script>"), "a.png", "image/png", "type_contradicted"],
  ["HTML as a picture by its name alone", text("<html><script>"), "a.png", undefined, "type_contradicted"],
  ["HTML in a text", text("<!DOCTYPE html><script>"), "a.txt", "text/plain", "text/html"],
  ["HTML behind a comment", text("<!-- a --><script>alert(1)</script>"), "a.txt", "text/plain", "text/html"],
  [
    "a text with a script further on",
    text("hello <script>alert(1)</script>"),
    "a.txt",
    "text/plain",
    "text/plain",
  ],
  ["SVG with a script", text('<svg onload="alert(1)"/>'), "a.svg", "image/svg+xml", "image/svg+xml"],
  [
    "SVG behind a prologue",
    text('<?xml version="1.0"?><!-- x --><svg/>'),
    "a.svg",
    "image/svg+xml",
    "image/svg+xml",
  ],
  ["SVG as PNG", text('<svg onload="alert(1)"/>'), "a.png", "image/png", "type_contradicted"],
  ["SVG in XML", text('<?xml version="1.0"?><svg/>'), "a.xml", "text/xml", "image/svg+xml"],
  ["XML", text('<?xml version="1.0"?><a/>'), "a.xml", "application/xml", "text/xml"],
  [
    "XHTML",
    text('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>'),
    "a.xml",
    "text/xml",
    "text/html",
  ],
  [
    "UTF-16 HTML",
    join([hex("fffe"), new Uint8Array(Uint16Array.from("<script>", (c) => c.charCodeAt(0)).buffer)]),
    "a.txt",
    "text/plain",
    "text/html",
  ],
  [
    "GIF that is a script",
    text("GIF89a/*aaaaaaaaaaaaaaaaaaaaa*/=1;alert(1)//"),
    "a.gif",
    "image/gif",
    "type_contradicted",
  ],
  [
    "GIF that is a script, with a control character",
    join([text("GIF89a/*aaaaaa"), hex("01"), text("a*/=1;alert(1)//")]),
    "a.gif",
    "image/gif",
    "type_contradicted",
  ],
  ["PDF not at the start", text("hello\n%PDF-1.4\n1 0 obj\n"), "a.txt", "text/plain", "polyglot"],
  ["PDF in a picture", join([picture().slice(0, 60), text("%PDF-1.4\n")]), "a.png", "image/png", "polyglot"],
  ["PDF as a picture", text("%PDF-1.4\n"), "a.png", "image/png", "type_contradicted"],
  ["picture as PDF", picture(), "a.pdf", "application/pdf", "type_contradicted"],
  ["picture as video", picture(), "a.mp4", "video/mp4", "type_contradicted"],
  ["zip as a picture", zipOf({ "a": text("a") }), "a.png", "image/png", "type_contradicted"],
  ["zip as text", zipOf({ "a": text("a") }), "a.txt", "text/plain", "type_contradicted"],
  ["gzip as audio", gzipOf(text("a")), "a.mp3", "audio/mpeg", "type_contradicted"],
  [
    "picture as a document",
    picture(),
    "a.docx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "type_contradicted",
  ],
  ["text as PNG", text("hello"), "a.png", "image/png", "type_contradicted"],
  ["noise as PNG", hex("deadbeef00112233"), "a.png", "image/png", "type_contradicted"],
  ["noise", hex("deadbeef00112233"), "a.bin", undefined, "application/octet-stream"],
  ["text with NUL", text("hello\0world"), "a.txt", "text/plain", "type_contradicted"],
  ["text that begins like a bitmap", text("BMW is a car"), "a.txt", "text/plain", "text/plain inline"],
  [
    "text that begins like a program",
    text("MZ is for Mark Zbikowski"),
    "a.txt",
    "text/plain",
    "text/plain inline",
  ],
  ["PNG called JPEG", picture(), "a.jpg", "image/jpeg", "image/png inline"],
  ["PNG declared as nothing", picture(), "a", "application/octet-stream", "image/png inline"],
  ["PNG declared as nonsense", picture(), "a", "image/png\r\nx: y", "image/png inline"],
  ["double extension", picture(), "a.php.png", "image/png", "image/png inline"],
  ["script of JavaScript", text("alert(1)"), "a.js", "text/javascript", "text/plain inline"],
];

for (const [what, bytes, name, type, expected] of HOSTILE) {
  Deno.test(`inspectHead() of ${what}: ${expected}`, async () =>
    strictEqual(await kindOf(bytes, name, type), expected));
}

Deno.test("inspectHead() cuts no character at the end of the head", async () => {
  for (const pad of ["", "a", "ab", "abc"]) {
    const bytes = text(pad + "漢字👋ß".repeat(600));
    ok(bytes.length > HEAD_BYTES);
    strictEqual(await kindOf(bytes, "a.txt"), "text/plain inline");
  }
  strictEqual(await kindOf(text("👋").slice(0, 3), "a.bin"), "application/octet-stream");
});

Deno.test("inspectHead() names what is allowed when it refuses", async () => {
  const ask = { name: "a.zip", declaredType: "application/zip" };
  const fault = await inspectHead(zipOf({ "a": text("a") }), ask, byDefault).catch((error) => error);
  ok(fault instanceof FileRefused);
  strictEqual(fault.message.includes("application/zip") && fault.message.includes("image/*"), true);
});

Deno.test("parseAllowedTypes() takes types and wildcards", () => {
  const some = parseAllowedTypes([" Image/* ", "application/x-zip-compressed", ""]);
  const types = [
    "image/png",
    "image/svg+xml",
    "application/zip",
    "application/pdf",
    "images/png",
    "text/plain",
  ];
  deepStrictEqual(types.filter((type) => some.allows(type)), [
    "image/png",
    "image/svg+xml",
    "application/zip",
  ]);
  strictEqual(parseAllowedTypes(["*/*"]).allows("a/b"), true);
  strictEqual(parseAllowedTypes([]).allows("text/plain"), false);
});

Deno.test("inspectHead() of any bytes: a kind or a refusal, and soon", async () => {
  const seeds = sampleFiles().map(({ bytes }) => bytes.subarray(0, HEAD_BYTES));
  const changed = fc.tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(HEAD_BYTES), fc.nat(255)), { maxLength: 20 }),
    fc.nat(HEAD_BYTES),
  ).map(([seed, changes, length]) => {
    const bytes = seed.slice(0, Math.max(length, 1));
    for (const [at, value] of changes) bytes[at % Math.min(bytes.length, 96)] = value;
    return bytes;
  });
  const heads = fc.oneof(changed, fc.uint8Array({ maxLength: 200 }));
  let slowest = 0;
  await fc.assert(
    fc.asyncProperty(
      heads,
      fc.string(),
      fc.option(fc.string(), { nil: undefined }),
      async (head, name, type) => {
        const start = performance.now();
        await kindOf(head, name, type);
        slowest = Math.max(slowest, performance.now() - start);
      },
    ),
    { numRuns: 1_500 },
  );
  ok(slowest < 1_500, `${slowest} ms`);
});
