/** Tokens for development: whoever asks is who they say. App.ts hands this to the HTTP door in development only. */
import { SignJWT } from "jose";
import { z } from "zod";
import type { JwtConfig } from "../config.ts";
import { COURSE_ID_MAX, COURSES_MAX } from "../protocol/limits.ts";
import { PLATFORM_ROLES } from "../protocol/models.ts";
import { line, userId } from "../protocol/schemas.ts";
import { parseInput } from "./commands.ts";

const request = z.strictObject({
  sub: userId,
  name: line(1, 100).optional(),
  role: z.enum(PLATFORM_ROLES).default("student"),
  courses: z.array(line(1, COURSE_ID_MAX)).max(COURSES_MAX).default([]),
  picture: z.url().optional(),
  expiresInSeconds: z.int().min(1).max(30 * 86_400).default(7 * 86_400),
});

/** Undefined where the keys are the identity provider's. */
export function createTokenMaker(config: JwtConfig): ((claims: unknown) => Promise<string>) | undefined {
  if (config.key.is !== "secret") return undefined;
  const secret = new TextEncoder().encode(config.key.secret);
  return async (claims) => {
    const { sub, expiresInSeconds, ...rest } = parseInput(request, claims);
    const token = new SignJWT({ name: sub, ...rest }).setProtectedHeader({ alg: "HS256" }).setSubject(sub)
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + expiresInSeconds);
    if (config.issuer !== undefined) token.setIssuer(config.issuer);
    if (config.audience !== undefined) token.setAudience(config.audience);
    return await token.sign(secret);
  };
}
