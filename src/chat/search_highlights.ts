/**
 * Highlights: where in a message what was searched for stands, as offsets into its content as JavaScript slices it
 * (UTF-16 code units), never within a character. Pure.
 */
import type { Highlight } from "../protocol/models.ts";
import { SEARCH_HIGHLIGHTS_MAX } from "../protocol/limits.ts";
import type { Shown } from "./search_query.ts";
import { foldWithPlaces, isPair, type Unit, unitsOf } from "./search_text.ts";

/** In their order, without overlap. */
export function highlightsOf(content: string, shown: Shown): Highlight[] {
  const folded = foldWithPlaces(content);
  const found: Highlight[] = [];
  const add = (from: number, to: number): void => {
    if (to > from) found.push({ start: folded.start(from), end: folded.end(to - 1) });
  };
  if (shown.sequences !== undefined || shown.words !== undefined) {
    const units = unitsOf(folded.text);
    for (const [from, to] of sequencesIn(units, shown.sequences ?? [])) add(from, to);
    for (const unit of units) {
      if (!unit.isSign && shown.words?.has(unit.text) === true) add(unit.start, unit.end);
    }
  }
  if (shown.part !== undefined) {
    const { length } = shown.part;
    for (
      let at = folded.text.indexOf(shown.part);
      at >= 0;
      at = folded.text.indexOf(shown.part, at + length)
    ) {
      add(at, at + length);
    }
  }
  for (const pattern of shown.patterns ?? []) {
    for (const { 0: text, index } of folded.text.matchAll(new RegExp(pattern, "gsu"))) {
      add(index, index + text.length);
    }
  }
  return merged(found).slice(0, SEARCH_HIGHLIGHTS_MAX);
}

function* sequencesIn(
  units: readonly Unit[],
  sequences: readonly (readonly Unit[])[],
): Generator<[from: number, to: number]> {
  for (const sequence of sequences) {
    for (let i = 0; i + sequence.length <= units.length; i++) {
      const isHere = sequence.every((wanted, j) =>
        units[i + j]?.text === wanted.text &&
        (!isPair(wanted, sequence[j + 1]) || isPair(units[i + j], units[i + j + 1]))
      );
      const [first, last] = [units[i], units[i + sequence.length - 1]];
      if (isHere && first !== undefined && last !== undefined) yield [first.start, last.end];
    }
  }
}

function merged(ranges: Highlight[]): Highlight[] {
  const rows: Highlight[] = [];
  for (const { start, end } of ranges.sort((a, b) => a.start - b.start || a.end - b.end)) {
    const last = rows.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else rows.push({ start, end });
  }
  return rows;
}
