/**
 * The OpenAPI 3.1 document of REST, made from the command and error tables: what is not in them is not in here,
 * except the two health checks and what carries bytes (openapi_files.ts). Path parameters come from the path; the other fields of the input are query
 * parameters where the method has no body, else the body. The sockets are described in asyncapi.ts.
 */
import { z } from "zod";
import { commands, type CommandSpec, type RestBinding } from "../protocol/commands.ts";
import { type ErrorCode, errorCodes } from "../protocol/errors.ts";
import { filePaths, formContent, LINK_SCHEME } from "./openapi_files.ts";
import { errorAnswer, type JsonSchema, SchemaComponents } from "./json_schemas.ts";

type Json = Record<string, unknown>;
type Method = RestBinding["method"];

const DESCRIPTION = `
Rooms, messages, direct messages and read markers for ScrollUniversity. Every operation, but those that carry files, is also a command
of the WebSocket, where events arrive; that side is described by the AsyncAPI document beside this one.

- **Times** are ISO 8601 in UTC. **Pages** go on with \`nextCursor\`; a room's history goes by \`seq\`.
- **Errors** are \`{"error": {…}}\`: decide by its \`code\`; \`retryable\` says whether the same request can succeed.
- **Sending twice** is safe with a \`clientMessageId\`: the second answer is the first message, as it is now.
- **Input** with unknown fields is refused. Lengths count Unicode characters; one-line texts are trimmed first.
`.trim();

const TAGS: Record<CommandSpec["tag"] | "health", string> = {
  "rooms": "Make, find and change rooms",
  "members": "Join and leave; roles, mutes and bans",
  "messages": "Send, read, search, edit and delete",
  "files": "Upload files, and fetch what was found clean",
  "direct messages": "Conversations of two users",
  "reading": "How far you and others have read; what is unread",
  "presence": "Who types, who is there, how you are shown",
  "sync": "Catch up after having been away",
  "blocks": "Stop direct messages with a user",
  "session": "The token of a socket",
  "health": "For load balancers and monitors; no token needed",
};

const RETRY_AFTER = { description: "Seconds", schema: { type: "integer", minimum: 0 } };

const alive = z.strictObject({ status: z.literal("ok") });
const ready = z.strictObject({ status: z.literal("ready") });
const notReady = z.strictObject({
  status: z.literal("not ready"),
  faults: z.array(z.string()).meta({ description: "Why this node should get no traffic" }),
});

export function openApiDocument(options: { serverUrl?: string; version: string }): Json {
  const components = new SchemaComponents();
  const paths: Record<string, Json> = {};
  const tags = new Set<string>();
  for (const [name, command] of Object.entries<CommandSpec>(commands)) {
    if (command.rest === undefined) continue;
    const path = command.rest.path.replaceAll(/:(\w+)/g, "{$1}");
    (paths[path] ??= {})[command.rest.method.toLowerCase()] = operation(
      name,
      command,
      command.rest,
      components,
    );
    tags.add(command.tag);
  }
  for (const [path, item] of Object.entries(filePaths(components, errorReferences))) {
    paths[path] = { ...paths[path], ...item };
  }
  Object.assign(paths, healthPaths(components));
  tags.add("health");
  return {
    openapi: "3.1.1",
    info: {
      title: "Scroll Chat",
      version: options.version,
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: options.serverUrl ?? "/" }],
    security: [{ bearer: [] }],
    tags: Object.entries(TAGS).filter(([name]) => tags.has(name)).map(([name, description]) => ({
      name,
      description,
    })),
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" }, link: LINK_SCHEME },
      responses: errorResponses(components),
      schemas: components.schemas,
    },
  };
}

function operation(
  name: string,
  command: CommandSpec,
  rest: RestBinding,
  components: SchemaComponents,
): Json {
  const { properties = {}, required = [] } = components.refer(command.input, "input") as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  const inPath = [...rest.path.matchAll(/:(\w+)/g)].map(([, field]) => field ?? "");
  for (const field of inPath) {
    if (!required.includes(field)) throw new Error(`${name}: its path has :${field}, its input does not`);
  }
  const others = Object.keys(properties).filter((field) => !inPath.includes(field));
  const parameter = (place: "path" | "query", field: string): Json => {
    const { description, ...schema } = properties[field] ?? {};
    const note = description === undefined ? {} : { description };
    return { name: field, in: place, required: required.includes(field), ...note, schema };
  };
  const parameters = inPath.map((field) => parameter("path", field));
  if (!hasBody(rest.method)) parameters.push(...others.map((field) => parameter("query", field)));
  const requiredInBody = others.filter((field) => required.includes(field));
  const bodySchema = {
    type: "object",
    properties: Object.fromEntries(others.map((field) => [field, properties[field]])),
    ...(requiredInBody.length > 0 ? { required: requiredInBody } : {}),
    additionalProperties: false,
  };
  const body = {
    required: requiredInBody.length > 0,
    content: {
      "application/json": {
        schema: bodySchema,
        ...(command.example === undefined ? {} : { example: command.example }),
      },
      ...(command.form ? formContent(bodySchema, components) : {}),
    },
  };
  return {
    operationId: name,
    summary: command.summary,
    tags: [command.tag],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(hasBody(rest.method) && others.length > 0 ? { requestBody: body } : {}),
    responses: {
      [rest.status]: {
        description: rest.status === 201 ? "Made" : "Done",
        ...jsonContent(components.refer(command.output, "output")),
      },
      ...errorReferences(rest.method, command.form ? [408, 507] : []),
    },
  };
}

function hasBody(method: Method): boolean {
  return method !== "GET" && method !== "DELETE";
}

/** Those that an operation of this document can be answered with: another method or address cannot be asked. */
function errorReferences(method: Method, ofFiles: readonly number[]): Json {
  const impossible = new Set([405, 408, 416, 426, 507, ...hasBody(method) ? [] : [413, 415]]);
  const statuses = [...codesByStatus().keys()]
    .filter((status) => !impossible.has(status) || ofFiles.includes(status));
  return Object.fromEntries(statuses.map((status) => [
    status,
    { $ref: `#/components/responses/Error${status}` },
  ]));
}

function errorResponses(components: SchemaComponents): Json {
  return Object.fromEntries(
    [...codesByStatus()].map(([status, codes]) => [`Error${status}`, {
      description: codes.map((code) => `\`${code}\`: ${errorCodes[code].text}`).join(". "),
      ...(status === 429 || status === 503 ? { headers: { "Retry-After": RETRY_AFTER } } : {}),
      content: {
        "application/json": {
          schema: components.refer(errorAnswer(codes), "output"),
          examples: Object.fromEntries(codes.map((code) => [code, { value: errorExample(code) }])),
        },
      },
    }]),
  );
}

function errorExample(code: ErrorCode): Json {
  const { text: message, retryable } = errorCodes[code];
  return { error: { code, message, retryable } };
}

function codesByStatus(): Map<number, ErrorCode[]> {
  return Map.groupBy(Object.keys(errorCodes) as ErrorCode[], (code) => errorCodes[code].status);
}

function healthPaths(components: SchemaComponents): Json {
  const answer = (description: string, schema: z.ZodType): Json => ({
    description,
    ...jsonContent(components.refer(schema, "output")),
  });
  const check = (operationId: string, summary: string, responses: Json): Json => ({
    get: { operationId, summary, tags: ["health"], security: [], responses },
  });
  return {
    "/healthz": check("healthz", "Is the process alive?", { 200: answer("It is", alive) }),
    "/readyz": check("readyz", "Should this node get traffic?", {
      200: answer("It should", ready),
      503: answer("Send requests elsewhere", notReady),
    }),
  };
}

function jsonContent(schema: JsonSchema): { content: Json } {
  return { content: { "application/json": { schema } } };
}
