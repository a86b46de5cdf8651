/** Signature Version 4 as the server sees it, written from its description: what a client of tests has signed is checked. */
import { createHash, createHmac } from "node:crypto";

export interface SignedRequest {
  method: string;
  /** Path and query as they came. */
  url: string;
  headers: Record<string, string | string[] | undefined>;
  body: Uint8Array;
}

const sha256 = (data: Uint8Array | string): string => createHash("sha256").update(data).digest("hex");
const hmac = (key: Uint8Array | string, text: string): Uint8Array =>
  createHmac("sha256", key).update(text).digest();

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** True if the secret made the signature, of these headers, this address and this body. */
export function isSigned({ method, url, headers, body }: SignedRequest, secret: string): boolean {
  const form =
    /^AWS4-HMAC-SHA256 Credential=[^/]+\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)$/;
  const [, day = "", region = "", names = "", signature] = form.exec(String(headers["authorization"])) ?? [];
  if (signature === undefined || headers["x-amz-content-sha256"] !== sha256(body)) return false;
  if (!["host", "x-amz-content-sha256", "x-amz-date"].every((name) => names.split(";").includes(name))) {
    return false;
  }
  const { pathname, searchParams } = new URL(url, "http://host");
  const canonical = [
    method,
    pathname.split("/").map((part) => encode(decodeURIComponent(part))).join("/"),
    [...searchParams].map(([name, value]) => `${encode(name)}=${encode(value)}`).toSorted().join("&"),
    ...names.split(";").map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, " ")}`),
    "",
    names,
    sha256(body),
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const key = [day, region, "s3", "aws4_request"].reduce<Uint8Array | string>(hmac, `AWS4${secret}`);
  const text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, sha256(canonical)].join("\n");
  return new Uint8Array(hmac(key, text)).toHex() === signature;
}
