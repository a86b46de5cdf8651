/** The command that searches messages. */
import { z } from "zod";
import { define, nextCursor, page } from "./command_spec.ts";
import * as limits from "./limits.ts";
import { type Highlight, MESSAGE_TYPES } from "./models.ts";
import * as s from "./schemas.ts";

export const SEARCH_MATCHES = ["words", "substring", "similar"] as const;
export type SearchMatch = (typeof SEARCH_MATCHES)[number];

const moment = z.iso.datetime({ offset: true, error: "Expected a date and time in ISO 8601" });
const highlight = z.strictObject({ start: z.int().min(0), end: z.int().min(0) }).meta({
  id: "Highlight",
  description: "A stretch of `content`: as JavaScript slices it, in UTF-16 code units, `end` not included",
}) satisfies z.ZodType<Highlight>;

export const searchCommands = {
  search_messages: define({
    tag: "messages",
    summary: "Search the rooms you are a member of. Direct messages are never searched: see `excluded`. " +
      "`list_messages` with `around` shows a message that was found in its place",
    rest: ["GET", "/messages/search"],
    input: z.strictObject({
      query: s.line(1, limits.SEARCH_QUERY_MAX),
      match: z.enum(SEARCH_MATCHES).default("words").meta({
        description:
          '`words`: all of them, also "a phrase", or, -not. `substring`: exactly this, also within ' +
          "words; at least three letters in a row. `similar`: words of five letters or more with at most one " +
          "wrong, missing, superfluous or swapped. Letter case, accents and width never count; Chinese, " +
          "Japanese, Korean and Thai need no blanks between words",
      }),
      order: z.enum(["relevance", "newest"]).default("relevance").meta({
        description:
          "`relevance` is among the newest 1,000 matches (200 by `substring`); then it begins anew with older ones",
      }),
      roomId: s.roomId.optional(),
      senderId: s.userId.optional(),
      after: moment.optional().meta({ description: "Sent then or later" }),
      before: moment.optional().meta({ description: "Sent earlier" }),
      type: z.enum(MESSAGE_TYPES).optional(),
      hasAttachment: z.boolean().optional(),
      ...page,
    }),
    output: z.strictObject({
      messages: z.array(s.roomMessage),
      highlights: z.record(z.string(), z.array(highlight)).meta({
        description:
          `By the id of the message: at most ${limits.SEARCH_HIGHLIGHTS_MAX} stretches each, in order`,
      }),
      nextCursor,
      excluded: z.strictObject({ directRooms: z.int().min(0) }).meta({
        description: "What could not be searched: how many of your conversations hold messages",
      }),
    }),
    concurrent: true,
  }),
};
