/** The commands on who is there: typing, status, presence. */
import { z } from "zod";
import { define, done } from "./command_spec.ts";
import * as limits from "./limits.ts";
import { STATUS_CHOICES } from "./models.ts";
import * as s from "./schemas.ts";

const statusAnswer = z.strictObject({ status: s.userStatus });
const customStatus = z.strictObject({
  text: s.line(1, limits.STATUS_TEXT_MAX),
  emoji: s.line(1, limits.STATUS_EMOJI_MAX).nullable().default(null),
  expiresAt: z.iso.datetime({ offset: true, error: "Expected a time as in 2026-01-31T09:00:00Z" }).refine(
    (text) => Date.parse(text) > Date.now() && text < "9999",
    { error: "Expected a time to come" },
  ).nullable().default(null),
});

export const presenceCommands = {
  typing: define({
    tag: "presence",
    summary: "You are typing, or no longer. It ends by itself: repeat it while you go on",
    input: z.strictObject({ roomId: s.roomId, isTyping: z.boolean() }),
    output: done,
  }),
  update_status: define({
    tag: "presence",
    summary:
      "Choose how you are shown on all of your devices, and a line of your own beside it (null takes it away)",
    rest: ["PUT", "/status"],
    example: { status: "busy", customStatus: { text: "In a lecture" } },
    input: z.strictObject({
      status: z.enum(STATUS_CHOICES).optional(),
      customStatus: customStatus.nullable().optional(),
    }).refine((ask) => ask.status !== undefined || ask.customStatus !== undefined, {
      error: "Expected status or customStatus",
      path: ["status"],
    }),
    output: statusAnswer,
  }),
  user_status: define({
    tag: "presence",
    summary: "Whether a user is online",
    rest: ["GET", "/status/:userId"],
    input: z.strictObject({ userId: s.userId }),
    output: statusAnswer,
    concurrent: true,
  }),
  online_count: define({
    tag: "presence",
    summary: "How many users are online, away or busy",
    rest: ["GET", "/status/online-count"],
    input: z.strictObject({}),
    output: z.strictObject({ count: z.int().min(0) }),
    concurrent: true,
  }),
  watch_presence: define({
    tag: "presence",
    summary:
      "How these users are shown now, and status_updated from now on, in place of those named before. Without asking, " +
      `a connection hears of the members of the rooms it hears that have up to ${limits.PRESENCE_MEMBERS_MAX} members`,
    input: z.strictObject({ userIds: z.array(s.userId).max(limits.PRESENCE_WATCHED_MAX) }),
    output: z.strictObject({ statuses: z.array(s.userStatus) }),
  }),
};
