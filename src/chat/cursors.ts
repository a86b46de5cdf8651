/** Cursors: the place of a list's last row, as opaque text. What comes back is checked like any input. */
import { invalidField } from "../protocol/errors.ts";
import { isUuid } from "../protocol/ids.ts";

export function writeCursor(place: readonly string[]): string {
  return new TextEncoder().encode(JSON.stringify(place)).toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });
}

/** `parts` texts; the last is an id unless `lastIsId` is false. */
export function readCursor(cursor: string, parts: number, lastIsId = true): string[] {
  try {
    const place: unknown = JSON.parse(
      new TextDecoder().decode(Uint8Array.fromBase64(cursor, { alphabet: "base64url" })),
    );
    const isPlace = Array.isArray(place) && place.length === parts &&
      place.every((part) => typeof part === "string" && part.isWellFormed() && !part.includes("\0"));
    if (isPlace && (!lastIsId || isUuid(place.at(-1)))) return place;
  } catch {
    // told below
  }
  throw invalidField("cursor", "the nextCursor of the page before");
}
