/** The commands on what has been read, and by whom. */
import { z } from "zod";
import { define, nextCursor, page } from "./command_spec.ts";
import * as s from "./schemas.ts";

const ofMessage = z.strictObject({ messageId: s.messageId });
const marked = z.strictObject({ roomId: z.uuid(), readMarker: s.readMarker, unread: s.unread });

export const readingCommands = {
  mark_as_read: define({
    tag: "reading",
    summary: "Move your read marker to this message; never backwards",
    rest: ["POST", "/messages/:messageId/read"],
    input: ofMessage,
    output: marked,
  }),
  mark_as_unread: define({
    tag: "reading",
    summary: "Count from this message on as unread again. What others see of your reading stays",
    rest: ["POST", "/messages/:messageId/unread"],
    input: ofMessage,
    output: marked,
  }),
  list_readers: define({
    tag: "reading",
    summary: "Who has read a message, its sender apart",
    rest: ["GET", "/messages/:messageId/readers"],
    input: z.strictObject({ messageId: s.messageId, ...page }),
    output: z.strictObject({
      readers: z.array(z.strictObject({ user: s.userProfile, ...s.readMarker.shape })),
      nextCursor,
    }),
    concurrent: true,
  }),
  unread_counts: define({
    tag: "reading",
    summary: "What is unread in all of your rooms, direct ones too: of each that has something, and in all",
    rest: ["GET", "/unread"],
    input: z.strictObject({}),
    output: z.strictObject({
      total: z.strictObject({ rooms: z.int(), count: z.int(), mentions: z.int() }).meta({
        description:
          "Rooms with something unread, and the sums of their counts, each of which stops where it stops",
      }),
      rooms: z.array(z.strictObject({ roomId: z.uuid(), unread: s.unread })),
    }),
    concurrent: true,
  }),
};
