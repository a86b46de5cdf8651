import { deepStrictEqual, throws } from "node:assert/strict";
import { join } from "node:path";
import { type IrcLine, parseIrcLines } from "../../bench/replay/irc_lines.ts";
import { recordedTimes, type Script, toScript } from "../../bench/replay/script.ts";

const EXCERPT = join(import.meta.dirname ?? ".", "../data/irc_excerpt.jsonl");
const lineOf = (kind: IrcLine["kind"], nick: string, text = "", replyTo?: number): IrcLine => ({
  at: "2005-06-27T09:19",
  kind,
  nick,
  text,
  ...(replyTo === undefined ? {} : { replyTo }),
});
const shapeOf = ({ steps }: Script): string[] => steps.map(({ is, nick, line }) => `${line} ${nick} ${is}`);

Deno.test("parseIrcLines() reads lines and names the one that is at fault", () => {
  const good = JSON.stringify(lineOf("message", "|^a`^|", " hi\t"));
  deepStrictEqual(parseIrcLines(`${good}\n\n`, "f"), [lineOf("message", "|^a`^|", " hi\t")]);
  deepStrictEqual(parseIrcLines("", "f"), []);
  throws(() => parseIrcLines(`${good}\nnonsense\n`, "f"), /^TypeError: f:2: line: /);
  throws(() => parseIrcLines(good.replace("message", "quit"), "f"), /^TypeError: f:1: kind: /);
  throws(() => parseIrcLines(good.replace("}", ',"more":1}'), "f"), /^TypeError: f:1: /);
  throws(() => parseIrcLines(JSON.stringify(lineOf("message", "a", "x", 0)), "f"), /replyTo/);
});

Deno.test("toScript() makes joins and leaves alternate, and joins a nick at its first message", () => {
  const script = toScript([
    lineOf("leave", "ada"),
    lineOf("message", "ada", "here"),
    lineOf("join", "ada"),
    lineOf("leave", "ada"),
    lineOf("join", "ada"),
    lineOf("message", "ada", "back"),
  ], "room");
  deepStrictEqual(shapeOf(script), [
    ...["1 ada join", "1 ada say", "3 ada leave", "4 ada join", "5 ada say"],
  ]);
  const { joins, impliedJoins, leaves, skippedJoins, skippedLeaves } = script.counts;
  deepStrictEqual([joins, impliedJoins, leaves, skippedJoins, skippedLeaves], [2, 1, 1, 1, 1]);
});

Deno.test("toScript() tells actions as text, cleans as the server does, and skips what has no text", () => {
  const script = toScript([
    lineOf("action", "ada", "waves"),
    lineOf("message", "ada", " \u0003bold\u0002 "),
    lineOf("message", "ada", " \u0003 "),
    lineOf("message", "ada", "yes", 0),
    lineOf("message", "ada", "no", 2),
  ], "room");
  const said = script.steps.flatMap((step) => step.is === "say" ? [[step.content, step.parent]] : []);
  deepStrictEqual(said, [["* ada waves", undefined], [" bold ", undefined], ["yes", 0], ["no", undefined]]);
  const { messages, actions, replies, skippedEmpty } = script.counts;
  deepStrictEqual([messages, actions, replies, skippedEmpty], [4, 1, 1, 1]);
});

Deno.test("toScript() makes of the excerpt joins, leaves, actions and replies", async () => {
  const { counts } = toScript(parseIrcLines(await Deno.readTextFile(EXCERPT), EXCERPT), "excerpt");
  deepStrictEqual(counts, {
    lines: 300,
    nicks: 68,
    messages: 250,
    actions: 1,
    replies: 208,
    joins: 65,
    impliedJoins: 29,
    leaves: 3,
    skippedJoins: 7,
    skippedLeaves: 4,
    skippedEmpty: 0,
    longestMessage: 197,
  });
});

Deno.test("recordedTimes() spreads the lines of a minute over it", () => {
  deepStrictEqual(recordedTimes(["2005-01-01T09:00", "2005-01-01T09:00", "2005-01-01T09:01"]), [
    0,
    30_000,
    60_000,
  ]);
  deepStrictEqual(recordedTimes([]), []);
});

Deno.test("recordedTimes() goes on through a twelve-hour clock's turn, a set clock and a cut", () => {
  deepStrictEqual(recordedTimes(["2004-11-15T12:59", "2004-11-15T01:00", "2004-11-15T01:02"]), [
    0,
    60_000,
    180_000,
  ]);
  deepStrictEqual(recordedTimes(["2004-11-15T09:10", "2004-11-15T09:09", "2004-11-15T09:11"]), [
    0,
    30_000,
    60_000,
  ]);
  deepStrictEqual(recordedTimes(["2004-11-15T09:10", "2009-02-23T08:00", "2009-02-23T08:02"]), [
    0,
    60_000,
    180_000,
  ]);
});
