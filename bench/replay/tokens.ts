/**
 * Tokens for the replay's users: asked of a development server, or signed with the server's own secret.
 * A token is made anew for each connection, so a long replay never uses an old one.
 */
import { SignJWT } from "jose";

export type TokenFor = (sub: string, name: string) => Promise<string>;

/** What keeps a replay from being played at all; told in one line. */
export class Unplayable extends Error {
  override readonly name = "Unplayable";
}

export function developmentTokens(serverUrl: string): TokenFor {
  const url = new URL("/dev/token", serverUrl);
  return async (sub, name) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ sub, name }),
      signal: AbortSignal.timeout(30_000),
    }).catch((fault) => {
      const why = fault instanceof Error ? fault.message : String(fault);
      throw new Unplayable(`Cannot reach ${url.origin}: is the server running? (${why})`);
    });
    const text = await response.text();
    if (response.status === 404 || response.status === 405) {
      throw new Unplayable(
        `${url.origin} is not in development: set JWT_SECRET, or name a file with --jwt-secret-file`,
      );
    }
    const token = response.ok ? tokenIn(text) : undefined;
    if (token === undefined) {
      throw new Unplayable(`${url.origin}/dev/token answered ${response.status}: ${text.slice(0, 200)}`);
    }
    return token;
  };
}

function tokenIn(text: string): string | undefined {
  try {
    const { token } = JSON.parse(text) as { token?: unknown };
    return typeof token === "string" ? token : undefined;
  } catch {
    return undefined;
  }
}

export interface Signing {
  secret: string;
  issuer: string | undefined;
  audience: string | undefined;
}

export function signedTokens({ secret, issuer, audience }: Signing): TokenFor {
  const key = new TextEncoder().encode(secret);
  return (sub, name) => {
    const token = new SignJWT({ name }).setProtectedHeader({ alg: "HS256" }).setSubject(sub).setIssuedAt()
      .setExpirationTime("24h");
    if (issuer !== undefined) token.setIssuer(issuer);
    if (audience !== undefined) token.setAudience(audience);
    return token.sign(key);
  };
}
