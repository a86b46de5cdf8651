/**
 * IRC lines: a recorded day of a channel, one JSON object a line. `replyTo` is the index of an earlier line,
 * counted from 0. Nicks and texts stay exactly as recorded. What is not such a line is refused with its place.
 */
import { z } from "zod";

const ircLine = z.strictObject({
  at: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/),
  kind: z.enum(["message", "action", "join", "leave"]),
  nick: z.string().min(1),
  text: z.string(),
  replyTo: z.int().min(0).optional(),
});

export type IrcLine = z.output<typeof ircLine>;

/** Throws a TypeError that names the first line at fault. */
export function parseIrcLines(text: string, name: string): IrcLine[] {
  const rows = text.split("\n");
  while (rows.at(-1)?.trim() === "") rows.pop();
  return rows.map((row, index) => {
    const read = ircLine.safeParse(parseJson(row));
    if (!read.success) {
      const issue = read.error.issues[0];
      throw new TypeError(`${name}:${index + 1}: ${issue?.path.join(".") || "line"}: ${issue?.message}`);
    }
    // a parent that comes later could never have been acknowledged before its reply
    if (read.data.replyTo !== undefined && read.data.replyTo >= index) {
      throw new TypeError(`${name}:${index + 1}: replyTo: Expected an earlier line`);
    }
    return read.data;
  });
}

function parseJson(row: string): unknown {
  try {
    return JSON.parse(row);
  } catch {
    return undefined;
  }
}
