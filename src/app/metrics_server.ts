/** GET /metrics, on a port of its own that only what collects them should reach. */
import type { Metrics } from "../metrics.ts";

export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

export function serveMetrics(
  metrics: Metrics,
  { hostname, port }: { hostname: string; port: number },
): MetricsServer {
  const server = Deno.serve({ hostname, port, onListen: () => {} }, async (request) => {
    if (new URL(request.url).pathname !== "/metrics") return new Response(null, { status: 404 });
    return new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } });
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}
