/** Whose tokens are believed: one secret, or the published keys of an identity provider. */
import type { EnvironmentReader } from "./environment.ts";

export type JwtConfig = {
  readonly key: { readonly is: "secret"; readonly secret: string } | {
    readonly is: "jwks";
    readonly url: string;
  };
  /** Fixed here, never by a token. */
  readonly algorithms: readonly string[];
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
};

const SECRET_BYTES_MIN = 32;
const HMAC = ["HS256"];
const ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

export function readJwt(from: EnvironmentReader, fallback: string | undefined): JwtConfig {
  const url = from.url("JWT_JWKS_URL", ["http:", "https:"]);
  const given = from.optional("JWT_SECRET");
  const secret = given ?? (url === undefined ? fallback : undefined);
  if (url !== undefined && given !== undefined) {
    from.fault("JWT_SECRET", "and JWT_JWKS_URL are both set: keep one");
  }
  if (url === undefined && secret === undefined) from.fault("JWT_SECRET", "or JWT_JWKS_URL is missing");
  if (secret !== undefined && new TextEncoder().encode(secret).length < SECRET_BYTES_MIN) {
    from.fault("JWT_SECRET", `must have at least ${SECRET_BYTES_MIN} bytes`);
  }
  const known = url === undefined ? HMAC : ASYMMETRIC;
  const algorithms = from.list("JWT_ALGORITHMS", url === undefined ? HMAC : ["RS256", "ES256", "EdDSA"]);
  const unknown = algorithms.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    from.fault("JWT_ALGORITHMS", `may name ${known.join(", ")} here, not ${unknown.join(", ")}`);
  }
  return {
    key: url === undefined ? { is: "secret", secret: secret ?? "" } : { is: "jwks", url },
    algorithms,
    issuer: from.optional("JWT_ISSUER"),
    audience: from.optional("JWT_AUDIENCE"),
  };
}
