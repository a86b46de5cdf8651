/**
 * Auth: from a token to an actor. The algorithm is fixed by configuration, never by the token; keys named in a
 * token's header are ignored except `kid`, which chooses among the configured key set's.
 */
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
} from "jose";
import { z } from "zod";
import type { JwtConfig } from "../config.ts";
import { ChatError } from "../protocol/errors.ts";
import { COURSE_ID_MAX, COURSES_MAX } from "../protocol/limits.ts";
import { PLATFORM_ROLES } from "../protocol/models.ts";
import { cleanText, userId } from "../protocol/schemas.ts";
import type { Actor } from "./actor.ts";

const CLOCK_TOLERANCE_S = 30;

const claims = z.object({
  sub: userId,
  name: z.string().max(1_000).optional(),
  picture: z.url({ protocol: /^https?$/ }).max(2_048).refine((url) => url === cleanText(url)).optional()
    .catch(undefined),
  role: z.enum(PLATFORM_ROLES).default("student"),
  courses: z.array(z.string().min(1).max(COURSE_ID_MAX)).max(COURSES_MAX).default([]),
  iat: z.number().optional(),
  exp: z.number(),
});

export type Authenticate = (token: string) => Promise<Actor>;

/** The function that doors call. It throws `unauthenticated`, `token_expired`, or `unavailable` without the key set. */
export async function createAuth(config: JwtConfig): Promise<Authenticate> {
  const key: CryptoKey | JWTVerifyGetKey = config.key.is === "secret"
    // imported once: a raw secret would be imported anew at every call
    ? await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(config.key.secret),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"],
    )
    : createRemoteJWKSet(new URL(config.key.url), {
      timeoutDuration: 5_000,
      cooldownDuration: 10_000,
      [customFetch]: fetchKeySet,
    });
  const options = {
    algorithms: [...config.algorithms],
    clockTolerance: CLOCK_TOLERANCE_S,
    requiredClaims: ["sub", "exp"],
    ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
    ...(config.audience === undefined ? {} : { audience: config.audience }),
  };
  const verify = (token: string): Promise<{ payload: JWTPayload }> =>
    typeof key === "function" ? jwtVerify(token, key, options) : jwtVerify(token, key, options);
  return async (token) => {
    try {
      return toActor((await verify(token)).payload);
    } catch (fault) {
      throw toChatError(fault);
    }
  };
}

/** jose leaves the body of a failure unread, and with it a connection open. */
async function fetchKeySet(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (!response.ok) await response.body?.cancel();
  return response;
}

function toActor(payload: JWTPayload): Actor {
  const read = claims.safeParse(payload);
  if (!read.success) {
    const claim = String(read.error.issues[0]?.path[0] ?? "sub");
    throw new ChatError("unauthenticated", `The token's claim ${claim} is not as expected`, { claim });
  }
  const { sub, name, picture, role, courses, iat, exp } = read.data;
  const shown = cleanText(name ?? "").replace(/[\n\t]+/g, " ").trim().slice(0, 100).toWellFormed();
  return {
    userId: sub,
    name: shown === "" ? sub : shown,
    avatarUrl: picture ?? null,
    role,
    courses: courses.map((course) => cleanText(course)),
    isAdmin: role === "admin",
    issuedAt: new Date(Math.min(Math.max(iat ?? thisMinute(), 0) * 1000, Date.now())),
    expiresAt: new Date(Math.min(exp * 1000, Date.now() + 3_650 * 86_400_000)),
  };
}

/** For a token that does not say when it was made. */
const thisMinute = (): number => Math.floor(Date.now() / 60_000) * 60;

function toChatError(fault: unknown): ChatError {
  if (fault instanceof ChatError) return fault;
  if (fault instanceof errors.JWTExpired) return new ChatError("token_expired");
  if (fault instanceof errors.JWTClaimValidationFailed) {
    return new ChatError("unauthenticated", `The token's claim ${fault.claim} is not as expected`, {
      claim: fault.claim,
    });
  }
  if (
    fault instanceof errors.JWKSTimeout || fault instanceof errors.JWKSInvalid ||
    (fault instanceof TypeError && !(fault instanceof errors.JOSEError))
  ) {
    return new ChatError("unavailable", "The key set cannot be fetched", undefined, { cause: fault });
  }
  if (fault instanceof errors.JOSEError && fault.code === "ERR_JOSE_GENERIC") {
    return new ChatError("unavailable", "The key set cannot be fetched", undefined, { cause: fault });
  }
  return new ChatError("unauthenticated", "The token is not valid");
}
