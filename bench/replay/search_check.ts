/**
 * The check of search against history. A word that stands between spaces must find every such message, once. What
 * else is found must at least contain the word: the server's idea of a word is wider than ours. Pure.
 */
import type { Message } from "../../src/protocol/models.ts";
import type { Fault, FaultKind } from "./faults.ts";

const PLAIN_WORD = /^[a-z]{5,30}$/;
/** One in so many is frequent, so that answers of several pages are seen too. */
const FREQUENT_SHARE = 5;

const wordsOf = (content: string): string[] => content.split(/\s+/).filter((word) => PLAIN_WORD.test(word));

/** `count` distinct words: most are the rarest of places spread over the messages, some the most frequent. */
export function pickWords(messages: readonly Message[], count: number): string[] {
  const uses = new Map<string, number>();
  for (const { content } of messages) {
    for (const word of new Set(wordsOf(content))) uses.set(word, (uses.get(word) ?? 0) + 1);
  }
  const byUse = [...uses].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([word]) => word);
  const picked = new Set(byUse.slice(0, Math.floor(count / FREQUENT_SHARE)));
  const rare = count - picked.size;
  for (let i = 0; i < rare; i++) {
    const stretch = messages.slice(
      Math.floor(i * messages.length / rare),
      Math.floor((i + 1) * messages.length / rare),
    );
    const words = stretch.flatMap(({ content }) => wordsOf(content)).filter((word) => !picked.has(word));
    words.sort((a, b) => (uses.get(a) ?? 0) - (uses.get(b) ?? 0) || (a < b ? -1 : 1));
    if (words[0] !== undefined) picked.add(words[0]);
  }
  for (const word of byUse.toReversed()) {
    if (picked.size >= count) break;
    picked.add(word);
  }
  return [...picked];
}

export function checkSearch(word: string, found: readonly Message[], history: readonly Message[]): Fault[] {
  const faults: Fault[] = [];
  const add = (kind: FaultKind, text: string): unknown => faults.push({ kind, text: `"${word}": ${text}` });
  const known = new Map(history.map((message) => [message.id, message]));
  const seen = new Set<string>();
  for (const { id, seq, content } of found) {
    if (seen.has(id)) add("search", `message ${seq} was found twice`);
    else if (known.get(id)?.content !== content) add("search", `message ${seq} is not as in history`);
    else if (!content.toLowerCase().includes(word)) add("search", `message ${seq} does not contain it`);
    seen.add(id);
  }
  for (const { id, seq, content } of history) {
    if (wordsOf(content).includes(word) && !seen.has(id)) add("search", `message ${seq} was not found`);
  }
  return faults;
}
