/**
 * What is asked for the figures: by kind, a few dozen queries each, taken from what was really said. Words are frequent
 * or rare in all rooms; phrases, senders and days are from what was said in the asker's own.
 */
import { fold, unitsOf } from "../../src/chat/search_text.ts";
import type { CommandInput } from "../../src/protocol/commands.ts";
import { seeded } from "../../tests/store/fixture.ts";
import type { Said } from "./scene.ts";

export type Ask = Partial<CommandInput<"search_messages">> & { query: string };
export interface Kind {
  name: string;
  asks: Ask[];
}

export function makeQuestions(
  said: readonly Said[],
  isOwn: (roomId: string) => boolean,
  each: number,
): Kind[] {
  const own = said.filter(({ roomId }) => isOwn(roomId));
  const inRooms = Map.groupBy(own, ({ roomId }) => roomId);
  const [busiest] = [...inRooms].sort(([, a], [, b]) => b.length - a.length)[0] ?? [""];
  const random = seeded(11);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const some = <T>(make: () => T): T[] => Array.from({ length: each }, make);
  const uses = new Map<string, number>();
  for (const { text } of said) {
    const words = unitsOf(fold(text)).filter(({ isSign }) => !isSign).map(({ text }) => text);
    for (const word of new Set(words)) uses.set(word, (uses.get(word) ?? 0) + 1);
  }
  const between = (low: number, high: number, pattern = /^(?!or$)[a-z]{2,}$/) =>
    [...uses].filter(([word, count]) =>
      count >= low * said.length && count < high * said.length && pattern.test(word)
    )
      .map(([word]) => word);
  const common = between(0.03, 1);
  const medium = between(0.002, 0.01);
  const rare = between(0, 0.0003, /^[a-z]{5,}$/);
  const phrase = (): string => {
    const words = pick(own).text.split(/[^a-z]+/i).filter((word) => word.length > 1);
    const at = Math.floor(random() * (words.length - 2));
    return words.length < 3 ? phrase() : `"${words.slice(at, at + 2 + Math.floor(random() * 2)).join(" ")}"`;
  };
  const inside = (words: readonly string[]): string => {
    const word = pick(words.filter(({ length }) => length >= 5));
    const length = 3 + Math.floor(random() * 3);
    return word.slice(Math.floor(random() * (word.length - length + 1))).slice(0, length);
  };
  const mistype = (word: string): string => {
    const letters = Array.from(word);
    const at = 1 + Math.floor(random() * (letters.length - 2));
    const [one = "", next = ""] = letters.slice(at, at + 2);
    const wrong = pick([[next, one], ["x", next], [next], [one, "x", next]]);
    return letters.toSpliced(at, 2, ...wrong).join("");
  };
  const mistyped = (count: number): string => {
    const words = pick(own).text.split(/[^a-z]+/).filter((word) => word.length > 5).slice(0, count);
    return words.length < count ? mistyped(count) : words.map(mistype).join(" ");
  };
  const eastAsian = own.filter(({ text }) => /[\u3041-\u9fff\uac00-\ud7a3]/.test(text));
  const signs = (count: number): string => {
    const runs =
      pick(eastAsian).text.match(/[\u3041-\u3096\u30a1-\u30fa\u30fc\u4e00-\u9fff\uac00-\ud7a3]+/gu) ?? [];
    const run = Array.from(pick(runs.length > 0 ? runs : [""]));
    const at = Math.floor(random() * (run.length - count + 1));
    return run.length < count ? signs(count) : run.slice(at, at + count).join("");
  };
  const filtered = (): Ask => {
    const { roomId, nick, text, at } = pick(own);
    const words = text.split(/[^a-z]+/i).filter((word) => /^(?!or$)../i.test(word));
    if (words.length === 0) return filtered();
    const month = 30 * 24 * 3_600_000;
    const [after, before] = [at - random() * month, at + random() * month].map((ms) =>
      new Date(ms).toISOString()
    );
    return {
      query: pick(words),
      roomId: roomId as Ask["roomId"],
      senderId: nick as Ask["senderId"],
      after,
      before,
    };
  };
  const inMonth = (): Ask => {
    const { at } = pick(own);
    const before = new Date(at).toISOString();
    return { query: pick(common), before };
  };
  return [
    { name: "common word", asks: some(() => ({ query: pick(common) })) },
    { name: "common word, newest first", asks: some(() => ({ query: pick(common), order: "newest" })) },
    { name: "word in 0.2 to 1 % of messages", asks: some(() => ({ query: pick(medium) })) },
    { name: "rare word", asks: some(() => ({ query: pick(rare) })) },
    { name: "two common words", asks: some(() => ({ query: `${pick(common)} ${pick(common)}` })) },
    {
      name: "common -common or rare",
      asks: some(() => ({ query: `${pick(common)} -${pick(common)} or ${pick(rare)}` })),
    },
    { name: "phrase", asks: some(() => ({ query: phrase() })) },
    { name: "common word before a day", asks: some(inMonth) },
    {
      name: "common word in the busiest room",
      asks: some(() => ({ query: pick(common), roomId: busiest as Ask["roomId"] })),
    },
    { name: "room, sender, dates", asks: some(filtered) },
    {
      name: "substring of a common word",
      asks: some(() => ({ query: inside([...common, ...medium]), match: "substring" })),
    },
    { name: "substring of a rare word", asks: some(() => ({ query: inside(rare), match: "substring" })) },
    { name: "similar, one word", asks: some(() => ({ query: mistyped(1), match: "similar" })) },
    {
      name: "similar, three words",
      asks: some(() => ({ query: mistyped(3), match: "similar" })),
    },
    ...[1, 2, 4].flatMap((count): Kind[] => [
      { name: `East Asian, ${count} as words`, asks: some(() => ({ query: signs(count) })) },
      {
        name: `East Asian, ${count} as substring`,
        asks: some(() => ({ query: signs(count), match: "substring" })),
      },
    ]),
    { name: "East Asian, 4, similar", asks: some(() => ({ query: signs(4), match: "similar" })) },
  ];
}
