/** Names of uploads: what people may be shown, from whatever a client sends. */
import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { displayName, FILE_NAME_BYTES_MAX } from "../../src/files/file_names.ts";

const NAMES: [string, string, string][] = [
  ["stays", "Übung 3 (final).pdf", "Übung 3 (final).pdf"],
  ["stays hidden", ".gitignore", ".gitignore"],
  ["composed", "cafe\u0301.txt", "café.txt"],
  ["path", "../../etc/passwd", "passwd"],
  ["path of Windows", "C:\\Users\\ada\\notes.txt", "notes.txt"],
  ["path that ends in a separator", "photos/", "photos"],
  ["look-alike separators", "a\u2215b\uff0fc.txt", "a_b_c.txt"],
  ["NUL", "photo.png\0.exe", "photo.png.exe"],
  ["bidi override", "photo\u202egnp.exe", "photognp.exe"],
  ["bidi isolates", "\u2066a\u2069.txt", "a.txt"],
  ["controls", "a\r\nContent-Type: text/html\x1b[2J.txt", "html_2J.txt".replace("_", "[")],
  ["invisible letters", "a\u3164\u200b\ufeffb.txt", "ab.txt"],
  ["family emoji", "👩‍👩‍👧 und ❤️.png", "👩‍👩‍👧 und ❤️.png"],
  ["joiner of Persian", "می\u200cخواهم.txt", "می\u200cخواهم.txt"],
  ["joiner that hides", "a\u200d.txt", "a.txt"],
  ["blanks before the extension", `photo.jpg${" ".repeat(200)}.exe`, "photo.jpg .exe"],
  ["trailing dots and blanks", "evil.exe. . .", "evil.exe"],
  ["dots only", "..", "file"],
  ["empty", "", "file"],
  ["blank", " \t\u00a0", "file"],
  ["reserved by Windows", "con.txt", "_con.txt"],
  ["reserved with a blank", "NUL .txt", "_NUL .txt"],
  ["not reserved", "console.txt", "console.txt"],
  ["lone surrogate", "a\ud800.txt", "a.txt"],
  ["quotes of headers", 'a"; filename="b.html', "a_; filename=_b.html"],
];

for (const [what, raw, shown] of NAMES) {
  Deno.test(`displayName(): ${what}`, () => strictEqual(displayName(raw), shown));
}

Deno.test("displayName() cuts 10,000 characters to 255 bytes and keeps the extension", () => {
  for (const letter of ["a", "ä", "漢", "👩"]) {
    const name = displayName(letter.repeat(10_000) + ".pdf");
    strictEqual(name.endsWith(letter + ".pdf"), true);
    strictEqual(new TextEncoder().encode(name).length > FILE_NAME_BYTES_MAX - 4, true);
    strictEqual(new TextEncoder().encode(name).length <= FILE_NAME_BYTES_MAX, true);
  }
});

Deno.test("displayName() of anything is a label: short, visible, no path, and cleaning it again changes nothing", () => {
  const parts = fc.constantFrom(
    ...[
      "a",
      ".",
      " ",
      "/",
      "\\",
      "..",
      "\0",
      "\u202e",
      "\u200d",
      "\u0301",
      "e",
      "👩",
      "\ufe0f",
      "CON",
      "\ud83d",
      ".exe",
    ],
  );
  const names = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(parts, { maxLength: 600 }).map((all) => all.join("")),
  );
  fc.assert(
    fc.property(names, (raw) => {
      const name = displayName(raw);
      strictEqual(displayName(name), name);
      strictEqual(
        /[\p{Cc}\u202a-\u202e\u2066-\u2069/\\\p{Cs}]|[. ]$|^ /u.test(name),
        false,
        JSON.stringify(name),
      );
      strictEqual(name.length > 0 && new TextEncoder().encode(name).length <= FILE_NAME_BYTES_MAX, true);
    }),
    { numRuns: 1_000 },
  );
});
