/**
 * The corpus of the search figures: chat lines made from recorded IRC days, mixed so that hardly two are alike while
 * words stay as frequent as they were, and a few percent Chinese, Japanese and Korean ones. The same from the same seed.
 */
import { parseIrcLines } from "../replay/irc_lines.ts";
import { EAST_ASIAN } from "./east_asian.ts";

export interface Line {
  nick: string;
  text: string;
}

/** Of all lines, and of the words in a line that are exchanged for another from anywhere. */
const EAST_ASIAN_SHARE = 0.03;
const EXCHANGED_SHARE = 0.4;
const JOINED_SHARE = 0.2;

export async function readLines(folder: string): Promise<Line[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".jsonl")) names.push(name);
  }
  if (names.length === 0) throw new TypeError(`There are no IRC days (*.jsonl) in ${folder}`);
  const days = await Promise.all(
    names.sort().map(async (name) => parseIrcLines(await Deno.readTextFile(`${folder}/${name}`), name)),
  );
  return days.flat().filter(({ kind, text }) => kind === "message" && text.trim() !== "").map(
    ({ nick, text }) => ({ nick, text }),
  );
}

export function* makeLines(recorded: readonly Line[], count: number, random: () => number): Generator<Line> {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const words = recorded.flatMap(({ text }) => text.split(" "));
  for (let i = 0; i < count; i++) {
    const { nick } = pick(recorded);
    if (random() < EAST_ASIAN_SHARE) {
      yield { nick, text: eastAsian(random, pick) };
      continue;
    }
    const text = random() < JOINED_SHARE
      ? `${pick(recorded).text} ${pick(recorded).text}`
      : pick(recorded).text;
    yield {
      nick,
      text: text.split(" ").map((word) => random() < EXCHANGED_SHARE ? pick(words) : word).join(" "),
    };
  }
}

/** Parts of sentences of one language, put together anew. */
function eastAsian(random: () => number, pick: <T>(from: readonly T[]) => T): string {
  const language = pick(EAST_ASIAN);
  const parts = Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(pick(language.sentences)));
  return parts.join(language.joint) + language.end;
}
