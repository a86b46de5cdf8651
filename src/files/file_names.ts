/**
 * Names of files as people see them. A name is a label: never a path of ours, never a way to look like another type,
 * and harmless where it is saved, on Windows too.
 */

export const FILE_NAME_BYTES_MAX = 255;
/** What counts as an extension when a long name is cut. */
const EXTENSION_BYTES_MAX = 20;
const FALLBACK = "file";

/** Controls, marks that reorder or hide text, what nobody sees. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{NChar}\u2800]/gu;
/** Joiners and variations that scripts and emoji need; nothing changes its look by them anywhere else. */
const JOINERS = "\u200c\u200d";
const VARIATIONS = "\ufe0e\ufe0f";
const JOINED_LEFT = /[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}]/u;
const JOINED_RIGHT = /[\p{L}\p{Extended_Pictographic}]/u;
/** Separators of paths and what Windows forbids, and characters that look like them. */
const FORBIDDEN = /[/\\:*?"<>|\u2044\u2215\u2236\u29f5\u29f8\u29f9\ua789\ufe68\uff0f\uff1a\uff3c]/g;
const RESERVED =
  /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])(?=[ .]|$)/i;

/** Idempotent; never empty, never longer than FILE_NAME_BYTES_MAX in UTF-8; the extension is kept. */
export function displayName(raw: string): string {
  let name = raw.length > 4_096 ? raw.slice(0, 2_048) + raw.slice(-2_048) : raw;
  name = name.split(/[/\\]/).findLast((part) => part.trim() !== "") ?? "";
  // what one step leaves another may have to look at again: a letter meets its accent, a cut ends in a dot
  for (let turn = 0; turn < 8; turn++) {
    const cleaner = clean(name);
    if (cleaner === name) break;
    name = cleaner;
  }
  return name === "" ? FALLBACK : name;
}

/** In lower case, without the dot; empty if there is none. */
export function extensionOf(name: string): string {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? "" : name.slice(dot + 1).toLowerCase();
}

function clean(name: string): string {
  const seen = name
    .replace(UNSEEN, (mark, at: number) => isNeeded(mark, name, at) ? mark : "")
    .replace(FORBIDDEN, "_")
    .replace(/\s+/g, " ") // so that no row of blanks pushes the extension out of sight
    .normalize("NFC")
    .replace(/^ /, "")
    .replace(/(?<![. ])[. ]+$/, "");
  return cut(seen.replace(RESERVED, "_$&"));
}

function isNeeded(mark: string, name: string, at: number): boolean {
  const before = Array.from(name.slice(Math.max(at - 2, 0), at)).at(-1) ?? "";
  const after = Array.from(name.slice(at + 1, at + 3))[0] ?? "";
  if (VARIATIONS.includes(mark)) return /\p{Emoji}/u.test(before);
  return JOINERS.includes(mark) && JOINED_LEFT.test(before) &&
    JOINED_RIGHT.test(after);
}

function cut(name: string): string {
  const encoder = new TextEncoder();
  if (encoder.encode(name).length <= FILE_NAME_BYTES_MAX) return name;
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 && encoder.encode(name.slice(dot)).length <= EXTENSION_BYTES_MAX
    ? name.slice(dot)
    : "";
  const stem = new Uint8Array(
    FILE_NAME_BYTES_MAX - encoder.encode(extension).length,
  );
  const { read } = encoder.encodeInto(name, stem); // whole characters only
  return name.slice(0, read) + extension;
}
