/** Which pages of browsers may talk to an engine, and how they are told so. */

/** "*": all of them. */
export type Origins = "*" | ((origin: string) => boolean);

const PREFLIGHT_S = 600;

/** Headers that a client adds are its own affair: none means anything here. */
export function preflight(request: Request): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET,POST",
      "access-control-allow-headers": request.headers.get("access-control-request-headers") ?? "content-type",
      "access-control-max-age": String(PREFLIGHT_S),
    },
  });
}

/** For an origin that may. Credentials: ours is never a cookie, but a proxy in front may keep its own. */
export function* corsHeaders(origins: Origins, origin: string | null): Iterable<[string, string]> {
  if (origins === "*") return yield ["access-control-allow-origin", "*"];
  yield ["vary", "origin"];
  if (origin === null || !origins(origin)) return;
  yield ["access-control-allow-origin", origin];
  yield ["access-control-allow-credentials", "true"];
}
