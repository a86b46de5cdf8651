/** Files that are all different, made piece by piece and never held: a small picture, then noise. */
import { createHash } from "node:crypto";
import { picture } from "../../tests/helpers/sample_files.ts";

const PIECE = 64 * 1024;
const NOISE = crypto.getRandomValues(new Uint8Array(PIECE));
const HEAD = picture();

/** The `n`th file. */
export function* contentOf(n: number, bytes: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < bytes; at += PIECE) {
    const piece = NOISE.slice(0, Math.min(PIECE, bytes - at));
    new DataView(piece.buffer).setUint32(1_024, n);
    new DataView(piece.buffer).setUint32(1_028, at);
    if (at === 0) piece.set(HEAD);
    yield piece;
  }
}

export function hashOf(pieces: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}
