/**
 * The page that shows the OpenAPI document, to be mounted beside openapi.json and asyncapi.json. All of it comes
 * from this server: Swagger UI's files from the npm package, read once when first asked for, and nothing inline,
 * so that a strict content policy holds. Whoever mounts it decides who may see it.
 */
import { type Context, Hono } from "hono";
import { compress } from "hono/compress";
import { etag } from "hono/etag";

const JAVASCRIPT = "text/javascript; charset=UTF-8";
const CSS = "text/css; charset=UTF-8";
const HTML = "text/html; charset=UTF-8";

/** Swagger UI sets styles from script (allowed) and has its icons as data: addresses. */
const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const PAGE = `<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Scroll Chat API</title>
    <link rel="icon" href="favicon-32x32.png">
    <link rel="stylesheet" href="swagger-ui.css">
    <link rel="stylesheet" href="docs.css">
  </head>
  <body>
    <nav>
      <strong>Scroll Chat</strong>
      <a href="../openapi.json">REST: OpenAPI</a>
      <a href="../asyncapi.json">WebSocket: AsyncAPI</a>
    </nav>
    <div id="docs"><noscript>This page needs JavaScript; the documents above do not.</noscript></div>
    <script src="swagger-ui-bundle.js"></script>
    <script src="docs.js"></script>
  </body>
</html>
`;

const INIT = `SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null,
});
`;

const STYLE = `html { overflow-y: scroll; }
body { margin: 0; background: #fafafa; }
nav { display: flex; flex-wrap: wrap; gap: 8px 24px; padding: 12px max(20px, 50% - 710px); background: #1b1b1b; }
nav, nav a { color: #fff; font: 16px system-ui, sans-serif; }
`;

interface Asset {
  type: string;
  /** Ours. Without it, the package's file of the same name. */
  text?: string;
}

const ASSETS: Readonly<Record<string, Asset>> = {
  "docs.js": { type: JAVASCRIPT, text: INIT },
  "docs.css": { type: CSS, text: STYLE },
  "swagger-ui-bundle.js": { type: JAVASCRIPT },
  "swagger-ui.css": { type: CSS },
  "favicon-32x32.png": { type: "image/png" },
};

export function docsRoutes(): Hono {
  const files = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  const app = new Hono();
  app.use(compress(), etag());
  app.get("/", (c) => isFolder(c) ? answer(c, HTML, PAGE) : toFolder(c));
  app.get("/:file{.*}", async (c) => {
    const file = c.req.param("file");
    if (file === "") return answer(c, HTML, PAGE);
    const asset = Object.hasOwn(ASSETS, file) ? ASSETS[file] : undefined;
    if (asset === undefined) return c.notFound();
    return answer(c, asset.type, asset.text ?? await readOnce(files, file));
  });
  return app;
}

/** The page's addresses are relative: they hold behind a proxy that adds a prefix, but need the slash. */
function isFolder(c: Context): boolean {
  return c.req.path.endsWith("/");
}

function toFolder(c: Context): Response {
  return c.redirect(`${c.req.path.slice(c.req.path.lastIndexOf("/") + 1)}/`, 308);
}

/** `no-cache` is to ask each time: the answer is 304 until the package or this file changes. */
function answer(c: Context, type: string, body: string | Uint8Array<ArrayBuffer>): Response {
  return c.body(body, 200, {
    "content-type": type,
    "cache-control": "no-cache",
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
  });
}

function readOnce(
  files: Map<string, Promise<Uint8Array<ArrayBuffer>>>,
  file: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const known = files.get(file);
  if (known !== undefined) return known;
  const read = Deno.readFile(new URL(import.meta.resolve(`swagger-ui-dist/${file}`)));
  files.set(file, read);
  read.catch(() => files.delete(file)); // the next request tries again; this one is told
  return read;
}
