import { deepStrictEqual, ok } from "node:assert/strict";
import { checkSearch, pickWords } from "../../bench/replay/search_check.ts";
import type { Message } from "../../src/protocol/models.ts";
import { messageAt } from "./logs.ts";

const first = messageAt(1, "try the kernel headers");
const second = messageAt(2, "Kernel? which kernel");
const third = messageAt(3, "kernel-headers, or linux-headers");
const fourth = messageAt(4, "nothing of the sort, see <kernel >");
const fifth = messageAt(5, "no thanks");
const history = [first, second, third, fourth, fifth];
const textsOf = (found: readonly Message[]): string[] =>
  checkSearch("kernel", found, history).map((fault) => fault.text);

Deno.test("checkSearch() accepts what must be found, with or without what may be found", () => {
  deepStrictEqual(textsOf([second, first]), []);
  deepStrictEqual(textsOf([fourth, third, second, first]), []);
});

Deno.test("checkSearch() finds what is missing, doubled, without the word, or not as in history", () => {
  deepStrictEqual(textsOf([third, first]), ['"kernel": message 2 was not found']);
  deepStrictEqual(textsOf([second, first, second]), ['"kernel": message 2 was found twice']);
  deepStrictEqual(textsOf([fifth, second, first]), ['"kernel": message 5 does not contain it']);
  deepStrictEqual(textsOf([{ ...second, content: "old kernel" }, first]), [
    '"kernel": message 2 is not as in history',
  ]);
  deepStrictEqual(textsOf([messageAt(6, "kernel"), second, first]), [
    '"kernel": message 6 is not as in history',
  ]);
});

Deno.test("pickWords() takes distinct plain words, some frequent, the others spread and rare", () => {
  const many = Array.from({ length: 100 }, (_, i) => {
    const letters = [...String(i)].map((digit) => "abcdefghij"[Number(digit)]).join("");
    return messageAt(i + 1, `common words with ${letters.padStart(6, "z")} and Mixed, e.g. UPPER`);
  });
  const words = pickWords(many, 10);
  deepStrictEqual(words.length, 10);
  deepStrictEqual(new Set(words).size, 10);
  deepStrictEqual(words.slice(0, 2), ["common", "words"]);
  ok(words.slice(2).every((word) => /^z+[a-j]+$/.test(word)), words.join());
  const places = words.slice(2).map((word) => many.findIndex(({ content }) => content.includes(word)));
  ok(places.every((place, i) => place >= i * 100 / 8 - 1 && place < (i + 1) * 100 / 8), places.join());
});

Deno.test("pickWords() takes what there is, if that is less", () => {
  deepStrictEqual(pickWords(history, 50).sort(), ["headers", "kernel", "nothing", "thanks", "which"]);
  deepStrictEqual(pickWords([], 50), []);
});
