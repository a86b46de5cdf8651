/**
 * Programs, whatever they are called: by their first bytes; and what Windows runs by its name alone, although it may be
 * plain text. Programs inside archives are found in their directory (archive_guard.ts) and by the scanner.
 */

const bytes = (hex: string): Uint8Array => Uint8Array.fromHex(hex.replaceAll(" ", ""));

const MAGICS: readonly (readonly [what: string, magic: Uint8Array])[] = [
  ["a program of Linux (ELF)", bytes("7f 45 4c 46")],
  ["a program of macOS (Mach-O)", bytes("fe ed fa ce")],
  ["a program of macOS (Mach-O)", bytes("fe ed fa cf")],
  ["a program of macOS (Mach-O)", bytes("ce fa ed fe")],
  ["a program of macOS (Mach-O)", bytes("cf fa ed fe")],
  ["a program of macOS or of Java", bytes("ca fe ba be")],
  ["a program of macOS (Mach-O)", bytes("be ba fe ca")],
  ["a program of macOS (Mach-O)", bytes("ca fe ba bf")],
  ["a program of macOS (Mach-O)", bytes("bf ba fe ca")],
  ["a program of Android (dex)", bytes("64 65 78 0a")],
  ["a program for WebAssembly", bytes("00 61 73 6d")],
  ["a program of Lua", bytes("1b 4c 75 61")],
  ["a program of LLVM", bytes("42 43 c0 de")],
  [
    "a shortcut of Windows",
    bytes("4c 00 00 00 01 14 02 00 00 00 00 00 c0 00 00 00 00 00 00 46"),
  ],
  ["a package of programs (deb)", new TextEncoder().encode("!<arch>\n")],
  ["a package of programs (rpm)", bytes("ed ab ee db")],
  ["an extension of a browser", new TextEncoder().encode("Cr24")],
];

/** As mail providers have it, but for sources that are taught (js, py, vb) and open in an editor. */
const NAMES = new Set(
  ("ade adp apk app appx appxbundle application bat cab chm class cmd com cpl crx deb desktop diagcab dll dmg exe gadget " +
    "hta inf ins ipa isp iso jar jnlp jse lnk mde msc msh msi msix msixbundle msp mst nsh paf pif ps1 psd1 psm1 reg rpm " +
    "scf scr sct shb shs sys url vbe vbs vhd vhdx vxd war wsc wsf wsh xll xpi")
    .split(" "),
);

/** What it is, in words for the uploader. `isText`: the same bytes are plain text. */
export function executableIn(
  head: Uint8Array,
  extension: string,
  isText: boolean,
): string | undefined {
  const [what] = MAGICS.find(([, magic]) => startsWith(head, magic)) ?? [];
  if (what !== undefined) return what;
  const [first, second] = head;
  const isMz = (first === 0x4d && second === 0x5a) ||
    (first === 0x5a && second === 0x4d);
  if (isMz && !isText) return "a program of Windows or DOS";
  if (isScript(head)) return "a script that says how to run it (#!)";
  return NAMES.has(extension) ? `a kind of file that systems run (.${extension})` : undefined;
}

/** `#![…]` is how sources in Rust begin. */
function isScript(head: Uint8Array): boolean {
  const at = startsWith(head, bytes("ef bb bf")) ? 3 : 0;
  return head[at] === 0x23 && head[at + 1] === 0x21 && head[at + 2] !== 0x5b;
}

export function startsWith(
  head: Uint8Array,
  magic: Uint8Array,
  at = 0,
): boolean {
  return head.length >= at + magic.length &&
    magic.every((byte, i) => head[at + i] === byte);
}
