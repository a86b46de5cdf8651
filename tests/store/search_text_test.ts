/**
 * The text of a search is folded and cut in TypeScript, the text of messages by the database: what one finds is what
 * the other indexed only if they agree, on each character and on whole texts, on Postgres 15 and 18.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { fold, foldWithPlaces, isPair, unitsOf } from "../../src/chat/search_text.ts";
import { spellingsOf } from "../../src/chat/search_typos.ts";
import { createTestDatabase, serverUrl } from "../helpers/databases.ts";
import { startPostgres15 } from "../helpers/postgres15.ts";
import { connect } from "./fixture.ts";

const SAMPLES = [
  "Hello, World! don't 1e5 1e5abc 3rd 0x1f v1.2.3 foo_bar a@b.c /lib/x <b> &amp; 12e 5e10 x1e5e6",
  "Crème BRÛLÉE, Ångström; ΟΔΟΣ ὀδός ΐ; Привет, ЁЖИК й; Türkçe İstanbul ISPARTA ß ẞ",
  "你好，世界！ｈｅｌｌｏ漢字かな交じり文。ｶﾞｷﾞ ガギ が ー・々〇",
  "안녕하세요 학교에 갔다 ㅋㅋㅋ 한글 ㅎㅏㄴ",
  "שלום עולם مرحبا می‌خواهم हिन्दी में ไทยไม่มีช่องว่าง ភាសាខ្មែរ",
  "👍🏽 👨‍👩‍👧 ♥️ 🎉🎉 🇬🇷 ﬁne ² ½ ™ ﷺ ＡＢＣ１２３",
];
const ALPHABET = Array.from(
  "ab1eE5 .,-'\"\\%_<>éÉßİıςΣйЁ漢字かがｶﾞー한글ᄒㄱ각ᆨ👍🏽\u200d\ufe0f\u00ad\u0301ﷺﬁ２Ａ　、・ไมमे\n\t",
);
const text = fc.array(fc.constantFrom(...ALPHABET), { maxLength: 60 }).map((letters) => letters.join(""));

/** What the text parser of Postgres may take for more than words. */
const ascii = fc.array(
  fc.oneof(
    fc.constantFrom(...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))),
    fc.constantFrom(
      "e",
      "1",
      "1e5",
      "-",
      ".",
      "http://",
      "www.a.com/x?y=z#q",
      "@",
      "&amp;",
      "&#39;",
      "<b>",
      "</b>",
    ),
    fc.constantFrom(
      "<!--",
      "a-b",
      "/usr/lib",
      "~/x",
      "C:\\",
      "%20",
      "=",
      "+1.5e-3",
      "v1.2",
      "\n",
      "a_b",
      "it's",
    ),
  ),
  { maxLength: 30 },
).map((parts) => parts.join(""));

/** As tokens_v1 has them. */
function lexemesOf(content: string): string[] {
  const units = unitsOf(fold(content));
  const words = units.filter(({ isSign }) => !isSign).map(({ text }) => text);
  const parts = words.filter((word) => /[^ -~]/.test(word)).flatMap((word) =>
    Array.from(word).slice(2).map((_, i) => `~${Array.from(word).slice(i, i + 3).join("")}`)
  );
  const pairs = units.flatMap((unit, i) =>
    isPair(unit, units[i + 1]) ? [unit.text + units[i + 1]?.text] : []
  );
  return [...new Set([...units.map(({ text }) => text), ...pairs, ...parts])].sort();
}

/** Where a newer Unicode has added letters that Postgres 15 does not know. */
const isOld = (code: number): boolean =>
  !(code > 0x1c7f && code < 0x1d00) && !(code > 0xa7bf && code < 0xa800) &&
  !(code > 0x104ff && code < 0x1f000);

async function compare(server: string, isKnown: (code: number) => boolean): Promise<void> {
  await using database = await createTestDatabase(server);
  await using stack = new AsyncDisposableStack();
  const sql = connect(database.url);
  stack.defer(() => sql.end());
  const samples = [text, ascii].flatMap((each) => fc.sample(each, { numRuns: 4_000, seed: 4 }));
  const contents = [...SAMPLES, ...samples];
  const rows = await sql<{ folded: string; lexemes: string[] }[]>`
    select fold_v1(content) as folded,
      array_to_json(array(select l from unnest(tsvector_to_array(search_words_v1(gen_random_uuid(), 'x', 'TEXT', '[]', content))) l
        where l not like '/%' and l not like '@%')) as lexemes
    from jsonb_array_elements_text(${
    JSON.stringify(contents)
  }::text::jsonb) with ordinality t(content, n) order by n`;
  contents.forEach((content, i) => {
    strictEqual(rows[i]?.folded, fold(content), JSON.stringify(content));
    deepStrictEqual(rows[i]?.lexemes.sort(), lexemesOf(content), JSON.stringify(content));
  });
  // every character that both know
  const known = Array.from({ length: 0x30000 }, (_, i) => i + 1)
    .filter((code) => (code < 0xd800 || code > 0xdfff) && isKnown(code)).map((code) =>
      String.fromCodePoint(code)
    )
    .filter((character) => /\P{Cn}/u.test(character));
  const units = await sql<{ character: string; lexemes: string[] }[]>`
    select character, array_to_json(tsvector_to_array(tokens_v1(fold_v1(character)))) as lexemes from jsonb_array_elements_text(${
    JSON.stringify(known)
  }::text::jsonb) character`;
  const different = units.filter(({ character, lexemes }) =>
    JSON.stringify(lexemes.sort()) !== JSON.stringify(lexemesOf(character))
  );
  deepStrictEqual(different.map(({ character }) => character), []);
}

Deno.test("search folds and cuts text as the database does, on 18", () => compare(serverUrl(), () => true));
Deno.test("search folds and cuts text as the database does, on 15", async () => {
  await using server = await startPostgres15();
  await compare(server.url, isOld);
});

Deno.test("a folded text knows where each of its characters stood", () => {
  fc.assert(
    fc.property(text, (content) => {
      const folded = foldWithPlaces(content);
      let end = 0;
      for (let i = 0; i < folded.text.length; i++) {
        strictEqual(folded.start(i) <= folded.end(i), true);
        strictEqual(content.slice(folded.start(i), folded.end(i)).isWellFormed(), true);
        strictEqual(folded.start(i) >= end || folded.end(i) === end, true);
        end = folded.end(i);
      }
    }),
    { seed: 4 },
  );
  for (const content of SAMPLES) strictEqual(foldWithPlaces(content).text, fold(content), content);
});

Deno.test("spellings are one letter away, in any script, and none is missing", () => {
  const near = ["python", "pyhton", "pythn", "pytthon", "ython", "pithon", "pythoo", "pythonx"];
  const spellings = new Set(spellingsOf("python"));
  deepStrictEqual(near.filter((word) => !spellings.has(word)), []);
  for (const [word, mistyped] of [["привет", "прибет"], ["δρόμος", "δρόμοσ"], ["שלומים", "שלומם"]] as const) {
    strictEqual(new Set(spellingsOf(fold(word))).has(fold(mistyped)), true);
  }
});
