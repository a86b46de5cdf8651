/**
 * A script: what is to be done, made from IRC lines without a server. Per nick it is well formed: joins and
 * leaves alternate, nothing is said outside a membership, and a reply's parent is an earlier line that is said.
 */
import { cleanText, codePoints } from "../../src/protocol/schemas.ts";
import type { IrcLine } from "./irc_lines.ts";

export type Step = Join | Leave | Say;

interface Common {
  /** The index of the line; an implied join has that of the nick's first message. */
  line: number;
  nick: string;
  /** Since the first line. */
  atMs: number;
}
export interface Join extends Common {
  is: "join";
}
export interface Leave extends Common {
  is: "leave";
}
export interface Say extends Common {
  is: "say";
  /** As the server should keep it. */
  content: string;
  /** The line of the message that this one answers. */
  parent: number | undefined;
}

export interface ScriptCounts {
  lines: number;
  nicks: number;
  /** To be said, the actions among them. */
  messages: number;
  actions: number;
  replies: number;
  joins: number;
  leaves: number;
  /** Joins among them that no line names. */
  impliedJoins: number;
  /** Joins of a nick that is in, leaves of one that is out, messages without text. */
  skippedJoins: number;
  skippedLeaves: number;
  skippedEmpty: number;
  longestMessage: number;
}

export interface Script {
  name: string;
  steps: readonly Step[];
  counts: ScriptCounts;
}

export function toScript(lines: readonly IrcLine[], name: string): Script {
  const steps: Step[] = [];
  const present = new Set<string>();
  const said = new Set<number>();
  const times = recordedTimes(lines.map((line) => line.at));
  const counts: ScriptCounts = {
    lines: lines.length,
    nicks: new Set(lines.map((line) => line.nick)).size,
    messages: 0,
    actions: 0,
    replies: 0,
    joins: 0,
    leaves: 0,
    impliedJoins: 0,
    skippedJoins: 0,
    skippedLeaves: 0,
    skippedEmpty: 0,
    longestMessage: 0,
  };
  const join = (common: Common): void => {
    present.add(common.nick);
    counts.joins++;
    steps.push({ is: "join", ...common });
  };

  for (const [line, { kind, nick, text, replyTo }] of lines.entries()) {
    const common: Common = { line, nick, atMs: times[line] ?? 0 };
    if (kind === "join") {
      if (present.has(nick)) counts.skippedJoins++;
      else join(common);
    } else if (kind === "leave") {
      if (present.delete(nick)) {
        counts.leaves++;
        steps.push({ is: "leave", ...common });
      } else counts.skippedLeaves++;
    } else if (cleanText(text).trim() === "") {
      counts.skippedEmpty++;
    } else {
      if (!present.has(nick)) {
        counts.impliedJoins++;
        join(common);
      }
      const content = cleanText(kind === "action" ? `* ${nick} ${text}` : text);
      const parent = replyTo !== undefined && said.has(replyTo) ? replyTo : undefined;
      steps.push({ is: "say", ...common, content, parent });
      said.add(line);
      counts.messages++;
      counts.actions += Number(kind === "action");
      counts.replies += Number(parent !== undefined);
      counts.longestMessage = Math.max(counts.longestMessage, codePoints(content));
    }
  }
  return { name, steps, counts };
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * Milliseconds since the first line, never backwards. Some days were recorded with a twelve-hour clock: a fall
 * of more than six hours is its turn. A silence of over an hour is a cut in the recording and counts as a minute.
 * Lines of the same minute are spread over it evenly.
 */
export function recordedTimes(at: readonly string[]): number[] {
  const starts: number[] = [];
  let elapsed = 0;
  let shift = 0;
  let previous = at[0] === undefined ? 0 : Date.parse(`${at[0]}Z`);
  for (const text of at) {
    let now = Date.parse(`${text}Z`) + shift;
    if (previous - now > 6 * HOUR_MS && previous - now < 12 * HOUR_MS) {
      shift += 12 * HOUR_MS;
      now += 12 * HOUR_MS;
    }
    const step = now - previous;
    elapsed += step > HOUR_MS || step < -HOUR_MS ? MINUTE_MS : Math.max(0, step);
    // a clock that was set back a little stands still until it is there again
    if (step > 0 || step < -HOUR_MS) previous = now;
    starts.push(elapsed);
  }
  return spread(starts);
}

function spread(starts: readonly number[]): number[] {
  const perStart = new Map<number, number>();
  for (const start of starts) perStart.set(start, (perStart.get(start) ?? 0) + 1);
  const used = new Map<number, number>();
  return starts.map((start) => {
    const place = used.get(start) ?? 0;
    used.set(start, place + 1);
    return start + Math.floor(MINUTE_MS * place / (perStart.get(start) ?? 1));
  });
}
