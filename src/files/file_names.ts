/** Names of files as people see them: they are never paths of ours, and never more than a label. */

export const FILE_NAME_BYTES_MAX = 255;

/** Idempotent; never empty, never longer than FILE_NAME_BYTES_MAX in UTF-8; the extension is kept. */
export function displayName(raw: string): string {
  return raw;
}
