/**
 * Typing errors: every spelling that is one wrong, missing, superfluous or swapped letter away from a word. Looked up
 * in the index they cost less than comparing messages with the word, and mean the same in every script. Pure.
 */
import { fold } from "./search_text.ts";

const LETTERS_MIN = 5;
const LETTERS_MAX = 24;
const LATIN = "abcdefghijklmnopqrstuvwxyzßæœøłđðþıŋħ";
/** Code points of one script stand together in blocks of this size. */
const BLOCK = 128;

/** Short words would be like too many others, and so would numbers. */
export function mayBeMistyped(word: string): boolean {
  const { length } = Array.from(word);
  return length >= LETTERS_MIN && length <= LETTERS_MAX && !/\p{N}/u.test(word);
}

/** The folded word itself comes first. */
export function spellingsOf(word: string): string[] {
  const letters = Array.from(word);
  const alphabet = new Set(letters.flatMap(alphabetOf));
  const found = new Set([word]);
  const add = (from: number, to: number, ...put: string[]): unknown =>
    found.add([...letters.slice(0, from), ...put, ...letters.slice(to)].join(""));
  for (let i = 0; i <= letters.length; i++) {
    const [letter, next] = letters.slice(i, i + 2);
    for (const other of alphabet) {
      add(i, i, other);
      if (letter !== undefined) add(i, i + 1, other);
    }
    if (letter !== undefined) add(i, i + 1);
    if (letter !== undefined && next !== undefined) add(i, i + 2, next, letter);
  }
  return [...found];
}

const alphabets = new Map<number, string[]>();

/** The letters that may stand in place of this one. */
function alphabetOf(letter: string): string[] {
  const block = Math.floor((letter.codePointAt(0) ?? 0) / BLOCK) * BLOCK;
  if (block < 0x250) return Array.from(LATIN);
  const known = alphabets.get(block);
  if (known !== undefined) return known;
  const all = Array.from({ length: BLOCK }, (_, i) => String.fromCodePoint(block + i));
  const letters = all.filter((other) => /[\p{L}\p{M}]/u.test(other) && fold(other) === other);
  alphabets.set(block, letters);
  return letters;
}

/** A row of signs with at most one of them wrong, missing, superfluous or swapped; "." is any sign. */
export function mistypedSigns(signs: readonly string[]): string[][] {
  const found = new Map<string, string[]>();
  const add = (from: number, to: number, ...put: string[]): void => {
    const row = [...signs.slice(0, from), ...put, ...signs.slice(to)];
    while (row[0] === ".") row.shift();
    while (row.at(-1) === ".") row.pop();
    found.set(row.join(""), row);
  };
  add(0, 0);
  for (let i = 0; i < signs.length; i++) {
    const [sign, next] = signs.slice(i, i + 2);
    add(i, i + 1, ".");
    add(i, i + 1);
    if (i > 0) add(i, i, ".");
    if (sign !== undefined && next !== undefined) add(i, i + 2, next, sign);
  }
  return [...found.values()];
}
