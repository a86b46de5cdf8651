/** How nodes reach each other: REDIS_URL, the two of Upstash, or not at all. */
import type { EnvironmentReader } from "./environment.ts";

export type BusConfig = { readonly is: "memory" } | {
  readonly is: "redis";
  readonly url: string;
  /** Of channels and keys: two deployments may share a server. */
  readonly prefix: string;
} | {
  readonly is: "upstash";
  readonly url: string;
  readonly token: string;
  readonly prefix: string;
};

/** REDIS_URL wins: one connection over TCP does what dozens of requests do over REST. */
export function readBus(from: EnvironmentReader): BusConfig {
  const prefix = from.text("REDIS_PREFIX", "scroll-chat:");
  const redis = from.url("REDIS_URL", ["redis:", "rediss:"]);
  const url = from.url("UPSTASH_REDIS_REST_URL", ["https:", "http:"]);
  const token = from.optional("UPSTASH_REDIS_REST_TOKEN");
  if (url !== undefined && /[?#@]/.test(url)) {
    from.fault(
      "UPSTASH_REDIS_REST_URL",
      "must have no user and no query: the token has a variable of its own",
    );
  }
  if (url !== undefined && token === undefined) {
    from.fault("UPSTASH_REDIS_REST_TOKEN", "is missing beside UPSTASH_REDIS_REST_URL");
  }
  if (from.optional("UPSTASH_REDIS_REST_URL") === undefined && token !== undefined) {
    from.fault("UPSTASH_REDIS_REST_URL", "is missing beside UPSTASH_REDIS_REST_TOKEN");
  }
  if (redis !== undefined) return { is: "redis", url: redis, prefix };
  if (url !== undefined) return { is: "upstash", url: url.replace(/\/+$/, ""), token: token ?? "", prefix };
  return { is: "memory" };
}
