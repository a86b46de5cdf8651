/**
 * Text as search compares it: folded, and cut into units. The same as fold_v1 and tokens_v1 of
 * migrations/0004_search.sql, by which messages are indexed; tests/store/search_text_test.ts holds the two together.
 * Pure.
 */

/** Scripts that put no blanks between words, or hang particles on them; and emoji. */
const SIGNS =
  String.raw`\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2600-\u27bf\u2e80-\u312f\u3130-\u4dbf` +
  String.raw`\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\u{1f000}-\u{1faff}\u{20000}-\u{3ffff}`;

/** Neither letter nor digit. */
const SEPARATORS =
  String.raw`\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u037e\u0387\u055a-\u055f` +
  String.raw`\u0589-\u058a\u05be\u05c0\u05c3\u05c6\u05f3-\u05f4\u0600-\u060f\u061b-\u061f\u066a-\u066d` +
  String.raw`\u06d4\u0700-\u070d\u0964-\u0965\u0970\u0e3f\u0e4f\u0e5a-\u0e5b\u104a-\u104f\u10fb` +
  String.raw`\u1360-\u1368\u166e\u1680\u17d4-\u17db\u2000-\u25ff\u27c0-\u2bff\u2e00-\u2e7f\u3000-\u3004` +
  String.raw`\u3008-\u3020\u3030\u303d-\u3040\u309b-\u309c\u30a0\u30fb\ue000-\uf8ff\ufd3e-\ufd3f` +
  String.raw`\ufe10-\ufe6f\uff00-\uff65\uffe0-\uffff`;

const INVISIBLE = /[\u00ad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]+/gu;
const UNIT = new RegExp(`(?![${SEPARATORS}])([${SIGNS}])|[^${SIGNS}${SEPARATORS}]+`, "gu");
const NOT_ASCII = /[\u0080-\uffff]/;
/** What composes with what stands before it must be folded with it: marks, and the parts of a Korean syllable. */
const CLUSTER =
  /[\uac00-\ud7a3]?[\u1100-\u11ff\u3131-\u318e\uffa0-\uffdc]+|[^][\p{M}\uff9e\uff9f\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*/gu;

export const isAscii = (text: string): boolean => !NOT_ASCII.test(text);

/** Small letters, compatibility forms as one, no accents, nothing invisible. */
export function fold(text: string): string {
  if (isAscii(text)) return text.toLowerCase();
  const bare = text.normalize("NFKD").replace(INVISIBLE, "");
  // letter by letter: a final sigma is to be a sigma like any other
  const small = Array.from(bare, (letter) => letter.toLowerCase()).join("");
  return small.replaceAll("ς", "σ").normalize("NFC");
}

/** A text folded, with the way back: `start(i)` and `end(i)` are where what became its i-th code unit stood. */
export interface Folded {
  readonly text: string;
  start(index: number): number;
  end(index: number): number;
}

export function foldWithPlaces(content: string): Folded {
  if (isAscii(content)) {
    return { text: content.toLowerCase(), start: (index) => index, end: (index) => index + 1 };
  }
  const starts: number[] = [];
  const ends: number[] = [];
  let text = "";
  for (const { 0: cluster, index } of content.matchAll(CLUSTER)) {
    const folded = fold(cluster);
    for (let i = 0; i < folded.length; i++) {
      starts.push(index);
      ends.push(index + cluster.length);
    }
    text += folded;
  }
  return { text, start: (index) => starts[index] ?? 0, end: (index) => ends[index] ?? 0 };
}

/** A word, or one sign of a script without blanks. */
export interface Unit {
  readonly text: string;
  readonly isSign: boolean;
  /** Places in the folded text. */
  readonly start: number;
  readonly end: number;
}

export function unitsOf(folded: string): Unit[] {
  return Array.from(folded.matchAll(UNIT), (match) => ({
    text: match[0],
    isSign: match[1] !== undefined,
    start: match.index,
    end: match.index + match[0].length,
  }));
}

/** Whether two signs make a pair: nothing stands between them. */
export const isPair = (one: Unit | undefined, next: Unit | undefined): boolean =>
  one !== undefined && next !== undefined && one.isSign && next.isSign && one.end === next.start;
