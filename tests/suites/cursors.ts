/** A cursor as the server would write it, for whatever place. */
export function toCursor(place: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(place));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
