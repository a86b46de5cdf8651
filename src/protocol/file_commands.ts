/**
 * Files: the commands on what was uploaded, and the two routes of REST that carry bytes and so have no place in the
 * table of commands: a socket uploads and fetches over REST, and names its files in send_message.
 */
import { z } from "zod";
import { define, type RestBinding } from "./command_spec.ts";
import { ATTACHMENTS_MAX } from "./limits.ts";
import { ATTACHMENT_KINDS } from "./models.ts";
import * as s from "./schemas.ts";

/** Of what was found in a file, its uploader alone is told. */
const finding = z.string().nullable().meta({
  description: "What the scanner found, or why it could not look: told to the uploader alone",
});

/** Earlier uploads of the sender, to the same room, that no message has yet. */
export const attachmentIds = z.array(s.attachmentId).min(1).max(ATTACHMENTS_MAX)
  .refine((ids) => new Set(ids).size === ids.length, { error: "Expected each file once" })
  .meta({ description: "Files that you have uploaded for this room; each can be sent once" });

export const fileCommands = {
  get_file_state: define({
    tag: "files",
    summary: "What is known of a file: whether it has been scanned, and to its uploader what was found",
    rest: ["GET", "/files/:fileId/state"],
    input: z.strictObject({ fileId: s.attachmentId }),
    output: z.strictObject({ attachment: s.attachment, finding }),
    concurrent: true,
  }),
  get_file_link: define({
    tag: "files",
    summary:
      "A link to a clean file for <img> and <video>: it works for a few minutes, and while you are in the room",
    rest: ["GET", "/files/:fileId/link"],
    input: z.strictObject({ fileId: s.attachmentId }),
    output: z.strictObject({
      url: z.string().meta({ description: "Relative to this server where it was not told its own address" }),
      expiresAt: z.iso.datetime(),
    }),
    concurrent: true,
  }),
  remove_file: define({
    tag: "files",
    summary: "Take back an upload that was not sent yet",
    rest: ["DELETE", "/files/:fileId"],
    input: z.strictObject({ fileId: s.attachmentId }),
    output: z.strictObject({}),
  }),
};

/** Describe the file that follows them in a form. */
export const fileDetails = z.strictObject({
  kind: z.enum(ATTACHMENT_KINDS).optional().meta({ description: "Only `voice` needs to be said" }),
  durationMs: s.durationMs.optional().meta({ description: "Of voice; what can be measured is measured" }),
  waveform: s.waveform.optional().meta({ description: "Of voice: how loud it is over its length, as JSON" }),
});

export const uploadTarget = z.strictObject({ roomId: s.roomId.optional(), recipientId: s.userId.optional() });

export interface FileRoute {
  rest: RestBinding;
  summary: string;
}

export const fileRoutes = {
  upload_file: {
    summary:
      "Upload one file for a room, or for a user; name it in `attachmentIds` of a message within a day",
    rest: { method: "POST", path: "/api/chat/files", status: 201 },
  },
  get_file: {
    summary: "A clean file of a room that you are in, as it is; ranges and conditions are understood",
    rest: { method: "GET", path: "/api/chat/files/:fileId", status: 200 },
  },
} as const satisfies Record<string, FileRoute>;

/** The answer of upload_file. */
export const uploaded = z.strictObject({ attachment: s.attachment });
/** Query of get_file, where no token is sent: as get_file_link gives it. */
export const linkQuery = z.strictObject({
  user: s.userId,
  expires: z.string().regex(/^\d{1,15}$/),
  signature: z.string().regex(/^[\w-]{43}$/),
});
/** `data` of file_scanned. */
export const scanned = z.strictObject({ attachment: s.attachment, finding });
