/** An identity provider's key set on 127.0.0.1, whose keys can be rotated, and which can fail. */
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT } from "jose";

export interface SigningKey {
  kid: string;
  alg: string;
  privateKey: CryptoKey;
  publicKey: CryptoKey;
  jwk: JWK;
}

export async function newKey(kid: string, alg: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, publicKey, jwk: { ...await exportJWK(publicKey), kid, alg, use: "sig" } };
}

/** The same key, for signing by another algorithm of its kind. */
export async function withAlgorithm(key: SigningKey, alg: string): Promise<SigningKey> {
  const { alg: _, ...jwk } = await exportJWK(key.privateKey);
  return { ...key, alg, privateKey: await importJWK(jwk, alg) as CryptoKey };
}

/** A token of this moment for an hour, unless the claims say otherwise; a claim that is undefined is left out. */
export function sign(
  key: { kid?: string; alg: string; privateKey: CryptoKey | Uint8Array },
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all = Object.entries({ iat: now, exp: now + 3_600, ...claims }).filter(([, value]) =>
    value !== undefined
  );
  const kid = key.kid === undefined ? {} : { kid: key.kid };
  return new SignJWT(Object.fromEntries(all) as JWTPayload).setProtectedHeader({
    alg: key.alg,
    ...kid,
    ...header,
  })
    .sign(key.privateKey, {
      crit: Object.fromEntries([header["crit"] ?? []].flat().map((name) => [name, true])),
    });
}

export class KeyServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  keys: SigningKey[];
  /** In place of the key set. */
  answer: (() => Response) | undefined;
  fetches = 0;

  constructor(keys: SigningKey[]) {
    this.keys = keys;
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
      this.fetches++;
      return this.answer?.() ?? Response.json({ keys: this.keys.map(({ jwk }) => jwk) });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/jwks.json`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** While it lives, Date.now() is `ms` ahead: key sets are asked again only after a while. */
export function clockAhead(ms: number): Disposable {
  const { now } = Date;
  Date.now = () => now() + ms;
  return { [Symbol.dispose]: () => void (Date.now = now) };
}
