/**
 * The contract documents: valid by the official schemas, complete by the tables, and honest enough to check real
 * answers with. And the page that shows them.
 */
import asyncApiSchema from "@asyncapi/specs/schemas/3.0.0.json" with { type: "json" };
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { Hono } from "hono";
import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { z } from "zod";
import { asyncApiDocument } from "../../src/http/asyncapi.ts";
import { docsRoutes } from "../../src/http/docs.ts";
import {
  eventSchemaOf,
  type JsonSchema,
  outputSchemaOf,
  SchemaComponents,
} from "../../src/http/json_schemas.ts";
import { openApiDocument } from "../../src/http/openapi.ts";
import { closeCodes } from "../../src/protocol/close_codes.ts";
import { type CommandName, commands, type CommandSpec } from "../../src/protocol/commands.ts";
import { ChatError, type ErrorCode, errorCodes } from "../../src/protocol/errors.ts";
import { type EventName, events } from "../../src/protocol/events.ts";

// deno-lint-ignore no-explicit-any -- a document is walked by names that the tests expect
type Document = any;

const VERSION = "1.2.3";
const openApi: Document = openApiDocument({ version: VERSION, serverUrl: "https://chat.example" });
const asyncApi: Document = asyncApiDocument({ version: VERSION, serverUrl: "https://chat.example" });
const documents: [string, Document][] = [["OpenAPI", openApi], ["AsyncAPI", asyncApi]];
const commandSpecs = Object.entries<CommandSpec>(commands);

function newAjv(): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
  formats.default(ajv);
  return ajv;
}

/** Every value in a document with its JSON pointer. */
function* walk(value: unknown, pointer = ""): Generator<[string, unknown]> {
  yield [pointer, value];
  if (typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    yield* walk(part, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
  }
}

function references(document: Document): string[] {
  return [...walk(document)].filter(([pointer]) => pointer.endsWith("/$ref")).map(([, ref]) => String(ref));
}

function at(document: Document, ref: string): Document {
  return ref.slice(2).split("/").reduce((part, key) => part?.[key.replaceAll("~1", "/")], document);
}

Deno.test("openApiDocument() is valid by the official schema of OpenAPI 3.1", async () => {
  const validator = new Validator({ strict: false });
  const result = await validator.validate(structuredClone(openApi));
  deepStrictEqual(result, { valid: true });
  strictEqual(validator.version, "3.1");
});

Deno.test("asyncApiDocument() is valid by the official schema of AsyncAPI 3.0", () => {
  const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false }); // it has its own draft 7
  formats.default(ajv);
  const validate = ajv.compile(asyncApiSchema);
  validate(asyncApi);
  deepStrictEqual(validate.errors, null);
});

Deno.test("every reference resolves, and every component is referred to", () => {
  for (const [name, document] of documents) {
    const refs = new Set(references(document));
    for (const ref of refs) ok(at(document, ref) !== undefined, `${name}: ${ref}`);
    for (const group of ["schemas", "responses", "messages"]) {
      for (const id of Object.keys(document.components[group] ?? {})) {
        // of the errors some belong to no operation that the document has: another method, another address
        if (["Error405", "Error426"].includes(id)) continue;
        ok(refs.has(`#/components/${group}/${id}`), `${name}: nothing refers to ${group}/${id}`);
      }
    }
  }
});

Deno.test("openApiDocument() has every command with a REST binding, and nothing else but health and files", () => {
  const found: string[] = [];
  for (const [path, item] of Object.entries<Document>(openApi.paths)) {
    for (const [method, operation] of Object.entries<Document>(item)) {
      found.push(`${method} ${path} ${operation.operationId}`);
    }
  }
  const expected = commandSpecs.flatMap(([name, { rest }]) =>
    rest === undefined
      ? []
      : [`${rest.method.toLowerCase()} ${rest.path.replaceAll(/:(\w+)/g, "{$1}")} ${name}`]
  );
  const ofFiles = ["post /api/chat/files upload_file", "get /api/chat/files/{fileId} get_file"];
  deepStrictEqual(
    found.sort(),
    [...expected, ...ofFiles, "get /healthz healthz", "get /readyz readyz"].sort(),
  );
});

Deno.test("openApiDocument() offers a form wherever files go in, and bytes where they come out", () => {
  const forms: string[] = [];
  for (const [path, item] of Object.entries<Document>(openApi.paths)) {
    for (const [method, { requestBody }] of Object.entries<Document>(item)) {
      const form = requestBody?.content["multipart/form-data"];
      if (form !== undefined) forms.push(`${method} ${path} ${Object.keys(form.schema.properties).at(-1)}`);
    }
  }
  deepStrictEqual(forms.sort(), [
    "post /api/chat/direct-messages attachments",
    "post /api/chat/files file",
    "post /api/chat/messages attachments",
  ]);
  const got = openApi.paths["/api/chat/files/{fileId}"].get;
  deepStrictEqual(
    ["200", "206", "304", "404", "416"].filter((status) => got.responses[status] === undefined),
    [],
  );
  deepStrictEqual(got.security, [{ bearer: [] }, { link: [] }]);
});

Deno.test("openApiDocument() puts each input field in exactly one place", () => {
  for (const [name, { input, rest }] of commandSpecs) {
    if (rest === undefined) continue;
    const path = rest.path.replaceAll(/:(\w+)/g, "{$1}");
    const operation = openApi.paths[path][rest.method.toLowerCase()];
    const body = operation.requestBody?.content["application/json"].schema.properties ?? {};
    const parameters: Document[] = operation.parameters ?? [];
    for (const { name: field, in: place } of parameters) {
      strictEqual(place === "path", path.includes(`{${field}}`), `${name}.${field}`);
    }
    const fields = [...parameters.map((parameter) => parameter.name), ...Object.keys(body)];
    deepStrictEqual(fields.sort(), Object.keys((input as z.ZodObject).shape).sort(), name);
    if (["GET", "DELETE"].includes(rest.method)) strictEqual(operation.requestBody, undefined, name);
    ok(operation.responses[rest.status], `${name}: ${rest.status}`);
  }
});

Deno.test("openApiDocument() has every error under its status, with an example that fits", () => {
  for (const [code, { status }] of Object.entries(errorCodes)) {
    const { schema, examples } = openApi.components.responses[`Error${status}`].content["application/json"];
    const validate = newAjv().compile(schema);
    ok(validate(examples[code].value), `${code}: ${JSON.stringify(validate.errors)}`);
    const real = new ChatError(code as ErrorCode, undefined, { field: "x" }).toBody("request");
    ok(validate({ error: real }), `${code}: ${JSON.stringify(validate.errors)}`);
    ok(!validate({ error: { ...real, stack: "at …" } }));
  }
});

Deno.test("asyncApiDocument() has every command with its reply, every event and every close code", () => {
  for (const name of Object.keys(commands)) {
    ok(!Object.hasOwn(events, name), `${name} is a command and an event: messages are named by them`);
    const { action, messages, reply } = asyncApi.operations[name];
    strictEqual(action, "receive");
    const [command, answer, failed] = [...messages, ...reply.messages].map(({ $ref }: Document) =>
      at(asyncApi, at(asyncApi, $ref).$ref).payload
    );
    strictEqual(command.properties.event.const, name);
    deepStrictEqual([answer.required, failed.required], [["ack", "data"], ["ack", "error"]]);
  }
  for (const name of Object.keys(events)) {
    strictEqual(asyncApi.operations[name].action, "send");
    strictEqual(asyncApi.components.messages[name].payload.properties.event.const, name);
  }
  const operations = Object.keys(asyncApi.operations).length;
  strictEqual(operations, Object.keys(commands).length + Object.keys(events).length);
  for (const [name, { code }] of Object.entries(closeCodes)) {
    match(asyncApi.info.description, new RegExp(`\\| ${code} \\| ${name} \\|`));
  }
});

Deno.test("asyncApiDocument() takes host, protocol and path from the server's address", () => {
  const serverOf = (serverUrl: string): Document =>
    (asyncApiDocument({ serverUrl, version: VERSION }) as Document).servers.chat;
  const { host, protocol, pathname } = serverOf("https://chat.example:8443/eu/");
  deepStrictEqual([host, protocol, pathname], ["chat.example:8443", "wss", "/eu"]);
  strictEqual(serverOf("http://localhost:3001").protocol, "ws");
});

Deno.test("every schema of both documents compiles strictly as draft 2020-12", () => {
  const ajv = newAjv().addVocabulary(["components"]);
  for (const [name, document] of documents) {
    for (const [pointer, value] of walk(document)) {
      if (!/\/(schema|payload)$|\/components\/schemas\/\w+$/.test(pointer)) continue;
      const schema = { ...value as JsonSchema, components: { schemas: document.components.schemas } };
      ok(ajv.validateSchema(schema), `${name}: ${pointer}`);
      ajv.compile(schema);
    }
  }
});

Deno.test("no schema is empty by accident", () => {
  const allowed = [
    /\/reactions\/items$/, // their shape comes with the feature
    /\/details\/additionalProperties$/, // differs by code
    /\/properties$/, // of an object without fields
    /\/example(\/positions)?$/, // nothing is needed there
  ];
  for (const [name, document] of documents) {
    for (const [pointer, value] of walk(document)) {
      const isEmpty = typeof value === "object" && value !== null && !Array.isArray(value) &&
        Object.keys(value).length === 0;
      ok(!isEmpty || allowed.some((pattern) => pattern.test(pointer)), `${name}: ${pointer} is {}`);
    }
  }
});

Deno.test("outputSchemaOf() and eventSchemaOf() compile strictly and stand alone", () => {
  const schemas = [
    ...Object.keys(commands).map((name) => outputSchemaOf(name as CommandName)),
    ...Object.keys(events).map((name) => eventSchemaOf(name as EventName)),
  ];
  for (const schema of schemas) newAjv().compile(schema);
});

Deno.test("outputSchemaOf() accepts a real answer and refuses what the models do not have", () => {
  const validate = newAjv().compile(outputSchemaOf("update_member"));
  const member = {
    id: "one of each user of each room",
    roomId: "01890a5d-ac96-774b-bcce-b302099a8057",
    userId: "ada",
    name: "Ada",
    avatarUrl: null,
    role: "OWNER",
    joinedAt: "2026-01-31T12:00:00.000Z",
    lastReadAt: null,
    lastReadSeq: 3,
    isMuted: false,
    isBlocked: false,
    leftReason: null,
  };
  ok(validate({ member }), JSON.stringify(validate.errors));
  ok(!validate({ member: { ...member, lastReadSeq: "3" } }));
  ok(!validate({ member: { ...member, secret: 1 } }));
  ok(!validate({ member: { ...member, joinedAt: "2026-01-31T12:00:00+01:00" } }));
  ok(!validate({ member: { ...member, roomId: "lobby" } }));
});

Deno.test("SchemaComponents.refer() writes a model once and refuses two shapes of one id", () => {
  const components = new SchemaComponents();
  const model = z.object({ at: z.string().transform(Number) }).meta({ id: "Cleaned" });
  const reference: JsonSchema = { $ref: "#/components/schemas/Cleaned" };
  deepStrictEqual(components.refer(model, "input"), reference);
  deepStrictEqual(components.refer(model, "input"), reference);
  deepStrictEqual(Object.keys(components.schemas), ["Cleaned"]);
  const other = z.object({ at: z.number() }).meta({ id: "Moved" });
  components.refer(other, "input"); // a plain object is open to a writer and closed to a reader
  throws(() => components.refer(other, "output"), /two shapes/);
});

Deno.test("the docs page has nothing inline, and all that it refers to is there", async () => {
  const app = new Hono().route("/api/chat/docs", docsRoutes());
  const page = await app.request("/api/chat/docs/");
  strictEqual(page.status, 200);
  const policy = page.headers.get("content-security-policy") ?? "";
  ok(policy.includes("script-src 'self'") && !policy.includes("unsafe"), policy);
  const html = await page.text();
  strictEqual(await (await docsRoutes().request("/")).text(), html);
  ok(!/<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|https?:/.test(html), "inline or foreign parts");
  const assets = [...html.matchAll(/(?:src|href)="([^".][^"]*)"/g)].map(([, asset]) => asset);
  strictEqual(assets.length, 5);
  const types = { js: "text/javascript", css: "text/css", png: "image/png" } as const;
  for (const asset of assets) {
    const got = await app.request(`/api/chat/docs/${asset}`);
    const type = types[asset?.split(".").at(-1) as keyof typeof types];
    strictEqual(got.status, 200, asset);
    ok(got.headers.get("content-type")?.startsWith(type), asset);
    strictEqual(got.headers.get("x-content-type-options"), "nosniff");
    ok((await got.bytes()).length > 0);
    const again = await app.request(`/api/chat/docs/${asset}`, {
      headers: { "if-none-match": got.headers.get("etag") ?? "" },
    });
    strictEqual(again.status, 304, asset);
  }
});

Deno.test("the docs page leads to its folder, and offers no other file", async () => {
  const app = new Hono().route("/api/chat/docs", docsRoutes());
  const bare = await app.request("/api/chat/docs");
  strictEqual(bare.status, 308);
  const target = new URL(bare.headers.get("location") ?? "", "http://host/api/chat/docs").pathname;
  strictEqual(target, "/api/chat/docs/");
  for (
    const file of [
      "package.json",
      "index.html",
      "../package.json",
      "..%2fpackage.json",
      "constructor",
      "a/docs.js",
    ]
  ) {
    const got = await app.request(`/api/chat/docs/${file}`);
    strictEqual(got.status, 404, file);
    await got.body?.cancel();
  }
});
