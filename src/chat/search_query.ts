/**
 * What a query means: from its text and the way of matching to what Postgres is asked (lexemes, patterns) and to what
 * is shown of the answer (search_highlights.ts). Lexemes need no quoting within their quotes: neither words nor signs
 * have quotes or backslashes. Pure.
 */
import { invalidField } from "../protocol/errors.ts";
import type { SearchMatch } from "../protocol/search_commands.ts";
import { codePoints } from "../protocol/schemas.ts";
import { fold, isAscii, isPair, type Unit, unitsOf } from "./search_text.ts";
import { mayBeMistyped, mistypedSigns, spellingsOf } from "./search_typos.ts";

/** What is asked of search_messages_v1, and what is shown of what it finds. */
export interface SearchQuery {
  readonly ask: {
    readonly rankBy: "words" | "share";
    /** A tsquery. */
    readonly words?: string;
    /** One spelling of each list. */
    readonly spellings?: string[][];
    /** A pattern of LIKE, of the folded content. */
    readonly likes?: string;
    /** Regular expressions, of the folded content. */
    readonly matches?: string[];
    readonly exact?: string;
    readonly length?: number;
  };
  readonly shown: Shown;
}

export interface Shown {
  /** Units that stand one after the other. */
  readonly sequences?: readonly (readonly Unit[])[];
  readonly words?: ReadonlySet<string>;
  readonly part?: string;
  readonly patterns?: readonly string[];
}

const UNITS_MAX = 200;
/** Every letter of a similar search is some fifty looks into the index. */
const SIMILAR_LENGTH_MAX = 64;
const PART_MIN = 3;
const SIGNS_TOLERANT_MIN = 3;
const SIGNS_TOLERANT_MAX = 12;

export function readQuery(text: string, match: SearchMatch): SearchQuery {
  switch (match) {
    case "words":
      return readWords(text);
    case "substring":
      return readPart(text);
    case "similar":
      return readSimilar(text);
  }
}

const TERM = /(-?)"([^"]*)"?|([^\s"]+)/gu;

interface Term {
  isNot: boolean;
  units: Unit[];
}

/** Words are all wanted, "a phrase" in its order, -not unwanted; `or` stands between alternatives. */
function readWords(text: string): SearchQuery {
  const alternatives: Term[][] = [[]];
  let count = 0;
  for (const [, minus, phrase, word = ""] of text.replace(/[“”„‟«»＂]/gu, '"').matchAll(TERM)) {
    if (phrase === undefined && word.toLowerCase() === "or") {
      alternatives.push([]);
      continue;
    }
    const isNot = phrase === undefined ? word.startsWith("-") : minus === "-";
    const units = unitsOf(fold(phrase ?? word));
    count += units.length;
    if (units.length > 0) alternatives.at(-1)?.push({ isNot, units });
  }
  const asked = alternatives.filter((terms) => terms.length > 0);
  if (asked.length === 0) throw invalidField("query", "Expected a word, letters or digits, to search for");
  if (count > UNITS_MAX) throw invalidField("query", "Expected fewer words");
  if (asked.some((terms) => terms.every(({ isNot }) => isNot))) {
    throw invalidField("query", "Expected a word that is wanted, not only some that are not");
  }
  const words = asked.map((terms) =>
    terms.map(({ isNot, units }) => `${isNot ? "!" : ""}(${sequence(units)})`).join(" & ")
  );
  const wanted = asked.flat().filter(({ isNot }) => !isNot);
  return {
    ask: { rankBy: "words", words: words.map((each) => `(${each})`).join(" | ") },
    shown: { sequences: wanted.map(({ units }) => units) },
  };
}

/** Units in their order, without another between them, as a tsquery. Signs are asked for by the pairs they make. */
function sequence(units: readonly Unit[]): string {
  let query = "";
  let place = 0;
  units.forEach((unit, i) => {
    const next = units[i + 1];
    if (!isPair(unit, next) && isPair(units[i - 1], unit)) return; // the second of the pair before
    const lexeme = isPair(unit, next) ? `'${unit.text}${next?.text}'` : `'${unit.text}'`;
    query += query === "" ? lexeme : ` <${i - place}> ${lexeme}`;
    place = i;
  });
  return query;
}

/** Exactly this, anywhere, also within words. */
function readPart(text: string): SearchQuery {
  const part = fold(text);
  const units = unitsOf(part);
  if (!units.some(({ isSign, text }) => isSign || codePoints(text) >= PART_MIN)) {
    throw invalidField(
      "query",
      `Expected at least ${PART_MIN} letters or digits in a row, or a character of a script without blanks: ` +
        "fewer would be in nearly every message",
    );
  }
  const lexemes = new Set([
    ...signRuns(units).flatMap(pairs),
    ...units.filter(({ isSign }) => !isSign).flatMap(({ text }) => parts(text)),
  ]);
  return {
    ask: {
      rankBy: "share",
      likes: `%${part.replace(/[\\%_]/g, "\\$&")}%`,
      length: codePoints(part),
      ...(lexemes.size === 0 ? {} : { words: [...lexemes].join(" & ") }),
    },
    shown: { part },
  };
}

/** The three-letter parts by which words beyond ASCII are found. */
function parts(word: string): string[] {
  if (isAscii(word)) return [];
  const letters = Array.from(word);
  return letters.slice(PART_MIN - 1).map((_, i) => `'~${letters.slice(i, i + PART_MIN).join("")}'`);
}

/** Rows of signs with nothing between them. */
function signRuns(units: readonly Unit[]): string[][] {
  const runs: string[][] = [];
  units.forEach((unit, i) => {
    if (isPair(units[i - 1], unit)) runs.at(-1)?.push(unit.text);
    else if (unit.isSign) runs.push([unit.text]);
  });
  return runs;
}

function pairs(signs: readonly string[]): string[] {
  if (signs.length === 1) return [`'${signs[0]}'`];
  return signs.slice(1).map((sign, i) => `'${signs[i]}${sign}'`);
}

/** Every word, or one a typing error away from it; short ones and numbers as they are. */
function readSimilar(text: string): SearchQuery {
  const folded = fold(text);
  if (codePoints(folded) > SIMILAR_LENGTH_MAX) {
    throw invalidField(
      "query",
      `Expected at most ${SIMILAR_LENGTH_MAX} characters to look for similar words`,
    );
  }
  const units = unitsOf(folded);
  if (units.length === 0) throw invalidField("query", "Expected a word, letters or digits, to search for");
  const plain = units.filter(({ isSign }) => !isSign).map(({ text }) => text);
  const fixed = plain.filter((word) => !mayBeMistyped(word));
  const spellings = [...new Set(plain)].filter(mayBeMistyped).map(spellingsOf);
  const runs = signRuns(units);
  const isTolerant = ({ length }: string[]) => length >= SIGNS_TOLERANT_MIN && length <= SIGNS_TOLERANT_MAX;
  const rows = runs.filter(isTolerant).map(mistypedSigns);
  const words = [
    ...fixed.map((word) => `'${word}'`),
    ...runs.filter((run) => !isTolerant(run)).flatMap(pairs),
    ...rows.map((alternatives) => `(${[...new Set(alternatives.map(around))].join(" | ")})`),
  ];
  const patterns = [
    ...runs.filter((run) => !isTolerant(run)).map((run) => run.join("")),
    ...rows.map((alternatives) => alternatives.map((row) => row.join("")).join("|")),
  ];
  return {
    ask: {
      rankBy: "words",
      exact: [...plain.map((word) => `'${word}'`), ...runs.flatMap(pairs)].join(" & "),
      ...(words.length === 0 ? {} : { words: words.join(" & ") }),
      ...(spellings.length === 0 ? {} : { spellings }),
      ...(patterns.length === 0 ? {} : { matches: patterns }),
    },
    shown: { words: new Set([...fixed, ...spellings.flat()]), patterns },
  };
}

/** The lexemes of what stands around a sign that may be any. */
function around(row: readonly string[]): string {
  const at = row.indexOf(".");
  const pieces = at < 0 ? [row] : [row.slice(0, at), row.slice(at + 1)];
  return `(${[...new Set(pieces.flatMap(pairs))].join(" & ")})`;
}
