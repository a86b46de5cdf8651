/** From the words in which a write function refuses to the errors that a client is told. */
import { ChatError, invalidField, isErrorCode } from "../protocol/errors.ts";

const TOLD: Record<string, () => ChatError> = {
  not_found: () => new ChatError("not_found", "There is no such room or message"),
  direct: () => new ChatError("forbidden", "A direct room has no members to manage and no fields to change"),
  user_not_found: () => new ChatError("not_found", "userId: there is no such user", { field: "userId" }),
  user_not_member: () => new ChatError("not_found", "userId: not a member of this room", { field: "userId" }),
  target_banned: () =>
    new ChatError("conflict", "userId: banned from this room; lift the ban first", { field: "userId" }),
  target_not_in_course: () =>
    new ChatError("conflict", "userId: does not take the room's course", { field: "userId" }),
  fixed_privacy: () => invalidField("isPrivate", "fixed by the room's type"),
  below_member_count: () =>
    new ChatError("conflict", "maxMembers: below the present number of members", { field: "maxMembers" }),
  attachment_not_found: () =>
    invalidField("attachmentIds", "uploads of your own to this room that have not been sent"),
  attachment_unsafe: () =>
    new ChatError("conflict", "attachmentIds: the scanner refused one of the files: see get_file_state", {
      field: "attachmentIds",
    }),
  reply_not_found: () => invalidField("replyToId", "the id of a message in the same room"),
};

/** `not_member` depends on whether the actor may know of the room: see Rooms.refuse. */
export function refusal(code: string): ChatError {
  const told = Object.hasOwn(TOLD, code) ? TOLD[code] : undefined;
  if (told !== undefined) return told();
  if (isErrorCode(code)) return new ChatError(code);
  throw new Error(`A write function refused with an unknown word: ${code}`);
}
