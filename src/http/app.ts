/**
 * The HTTP door: middleware, health, documents and the command routes. /ws never comes here: whatever touches an
 * upgrade's response afterwards could end the process (ws/door.ts).
 */
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { describeFault, type Log } from "../log.ts";
import { ChatError } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/ids.ts";
import { asyncApiDocument } from "./asyncapi.ts";
import { readJson } from "./body.ts";
import { docsRoutes } from "./docs.ts";
import { openApiDocument } from "./openapi.ts";
import { addCommandRoutes, type RouteUses } from "./routes.ts";

export interface HttpOptions extends RouteUses {
  mayReadFrom: (origin: string) => boolean;
  region: string;
  version: string;
  publicUrl: string | undefined;
  /** Why the node should get no traffic; empty when it should. */
  readiness: () => Promise<string[]>;
  /** Development only: makes a token of whatever is asked. */
  makeToken: ((claims: unknown) => Promise<string>) | undefined;
  log: Log;
}

export function createHttpApp(options: HttpOptions): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.header("x-content-type-options", "nosniff");
    c.header("referrer-policy", "no-referrer");
    c.header("x-region", options.region);
    if (!c.res.headers.has("x-request-id")) c.header("x-request-id", newRequestId());
    if (!c.res.headers.has("cache-control")) c.header("cache-control", "no-store");
  });
  app.use(cors({
    origin: (origin) => options.mayReadFrom(origin) ? origin : null,
    allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
    allowHeaders: ["authorization", "content-type", "range", "if-range", "if-none-match"],
    exposeHeaders: [
      ...["x-request-id", "x-region", "retry-after"],
      ...["accept-ranges", "content-disposition", "content-length", "content-range", "etag"],
    ],
    maxAge: 600,
  }));
  app.get("/", (c) => c.redirect("api/chat/docs/")); // whoever opens the address looks for what is here
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    const faults = await options.readiness();
    return faults.length === 0 ? c.json({ status: "ready" }) : c.json({ status: "not ready", faults }, 503);
  });
  const document = {
    version: options.version,
    ...(options.publicUrl === undefined ? {} : { serverUrl: options.publicUrl }),
  };
  const documents = {
    "/api/chat/openapi.json": JSON.stringify(openApiDocument(document)),
    "/api/chat/asyncapi.json": JSON.stringify(asyncApiDocument(document)),
  };
  for (const [path, text] of Object.entries(documents)) {
    app.get(
      path,
      (c) => c.body(text, 200, { "content-type": "application/json", "cache-control": "max-age=60" }),
    );
  }
  app.route("/api/chat/docs", docsRoutes());
  addCommandRoutes(app, options);
  const { makeToken } = options;
  if (makeToken !== undefined) {
    app.post(
      "/dev/token",
      async (c) => c.json({ token: await makeToken(await readJson(c.req.raw, options.maxBodyBytes)) }),
    );
  }
  app.notFound((c) => tell(c, new ChatError("not_found", "There is nothing at this address"), options.log));
  app.onError((fault, c) => tell(c, fault, options.log));
  return app;
}

function tell(c: Context, fault: Error, log: Log): Response {
  const requestId = newRequestId();
  if (fault instanceof ChatError) return fault.toResponse(requestId);
  log.error("request.fault", { requestId, method: c.req.method, path: c.req.path, ...describeFault(fault) });
  return new ChatError("internal").toResponse(requestId);
}
