/** The environment as operators write it: what is no value of a variable is told by its name, before anything opens. */
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { type Config, readConfig } from "../src/config.ts";

function read(env: Record<string, string>): Config {
  const defaults = { databaseUrl: "postgres://u@h/d", jwtSecret: "a secret that has more than 32 bytes" };
  return readConfig("development", defaults, (name) => env[name]);
}

function refuses(name: string, value: string, item = value): void {
  throws(() => read({ [name]: value }), ({ message }: Error) => {
    strictEqual(message.split("\n").length, 2, message);
    return message.includes(`${name} must be`) && message.includes(`"${item}"`);
  }, value);
}

Deno.test("CORS_ORIGIN takes origins as browsers write them, or *", () => {
  const right = "https://www.example.edu, http://localhost:3000,capacitor://localhost";
  deepStrictEqual(read({ CORS_ORIGIN: right }).http.corsOrigins, right.split(/, ?/));
  deepStrictEqual(read({ CORS_ORIGIN: "*" }).http.corsOrigins, ["*"]);
  for (
    const wrong of [
      "localhost:3000",
      "www.example.edu",
      "https://www.example.edu/",
      "https://example.edu/app",
      "https://Example.edu",
      "https://example.edu:443",
      "https://*.example.edu",
      "https://u:p@example.edu",
      "null",
    ]
  ) refuses("CORS_ORIGIN", `http://localhost:3000,${wrong}`, wrong);
});

Deno.test("CHAT_ALLOWED_FILE_TYPES takes types and wildcards", () => {
  const right = ["image/*", "application/pdf", "image/svg+xml", "application/vnd.ms-excel", "*/*", "*"];
  deepStrictEqual(read({ CHAT_ALLOWED_FILE_TYPES: right.join() }).files.allowedTypes, right);
  for (const wrong of ["image", "*/png", "image/", "/png", "image/*/x", "image/p*", "a b/c", ".png"]) {
    refuses("CHAT_ALLOWED_FILE_TYPES", `text/plain,${wrong}`, wrong);
  }
});

Deno.test(".env.example has every variable that is read, and none besides", async () => {
  const read = new Set<string>();
  const env = { CLAMAV_REST_URL: "http://h", S3_BUCKET: "b", PEER_ADDRESSES: "a=http://h" };
  const note = (name: string) => (read.add(name), (env as Record<string, string>)[name]);
  throws(() => readConfig("production", {}, note));
  const text = await Deno.readTextFile(new URL("../.env.example", import.meta.url));
  const missing = [...read].filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
  const known = [...text.matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name ?? "");
  const unread = known.filter((name) => !read.has(name) && name !== "SCROLL_DATA_DIR"); // of main.ts
  deepStrictEqual({ missing, unread }, { missing: [], unread: [] });
});

Deno.test(".env.example has the defaults", async () => {
  const text = await Deno.readTextFile(new URL("../.env.example", import.meta.url));
  const example = new Map(
    [...text.matchAll(/^([A-Z][A-Z0-9_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
  const needed: Record<string, string> = { DATABASE_URL: "postgres://u@h/d", JWT_SECRET: "x".repeat(32) };
  const config = readConfig("production", {}, (name) => needed[name] ?? example.get(name));
  deepStrictEqual(config, readConfig("production", {}, (name) => needed[name]));
});
