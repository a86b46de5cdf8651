/** A file that we do not take, and why. The message is for the one who uploads: it says what to do instead. */

export type RefusalReason =
  | "empty"
  | "executable"
  | "type_not_allowed"
  | "type_contradicted"
  | "polyglot"
  | "encrypted"
  | "archive_too_large"
  | "archive_too_deep"
  | "archive_broken"
  | "archive_unsupported";

export class FileRefused extends Error {
  override readonly name = "FileRefused";
  constructor(readonly reason: RefusalReason, message: string) {
    super(message);
  }
}
