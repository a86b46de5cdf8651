/**
 * The id by which a client that was away says which connection it had. It stands for nothing on any node; it names its
 * user, so that the offset that comes with it is not taken for another's when somebody else signs in.
 */
import type { UserId } from "../protocol/ids.ts";

const BYTES = 12;
const BASE64 = { alphabet: "base64url", omitPadding: true } as const;

export async function newPid(userId: UserId): Promise<string> {
  return `${crypto.getRandomValues(new Uint8Array(BYTES)).toBase64(BASE64)}.${await markOf(userId)}`;
}

export async function pidIsOf(pid: string, userId: UserId): Promise<boolean> {
  return /^[\w-]{16}\.[\w-]{16}$/.test(pid) && pid.endsWith(`.${await markOf(userId)}`);
}

async function markOf(userId: UserId): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(userId));
  return new Uint8Array(hash, 0, BYTES).toBase64(BASE64);
}
