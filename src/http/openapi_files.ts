/** What the OpenAPI document says of bytes: the two routes of files, and the form of a message that brings some along. */
import {
  fileDetails,
  type FileRoute,
  fileRoutes,
  linkQuery,
  uploaded,
  uploadTarget,
} from "../protocol/file_commands.ts";
import type { RestBinding } from "../protocol/command_spec.ts";
import { ATTACHMENTS_MAX } from "../protocol/limits.ts";
import type { JsonSchema, SchemaComponents } from "./json_schemas.ts";

type Json = Record<string, unknown>;
type Properties = Record<string, JsonSchema>;

const BYTES: JsonSchema = { type: "string", format: "binary" };
/** As get_file_link gives it, the two other parameters with it. */
export const LINK_SCHEME: Json = { type: "apiKey", in: "query", name: "signature" };
const FILE_ID = { name: "fileId", in: "path", required: true, schema: { type: "string", format: "uuid" } };

/** A command's JSON body as a form: fields before the files that they concern. */
export function formContent(body: JsonSchema, components: SchemaComponents): Json {
  const properties = {
    ...body.properties as Properties,
    ...propertiesOf(components.refer(fileDetails, "input")),
    attachments: {
      type: "array",
      items: BYTES,
      maxItems: ATTACHMENTS_MAX,
      description:
        "Files; roomId or recipientId comes before them, and what describes one file before that one",
    },
  };
  return { "multipart/form-data": { schema: { ...body, properties } } };
}

export function filePaths(
  components: SchemaComponents,
  errorReferences: (method: RestBinding["method"], more: readonly number[]) => Json,
): Record<string, Json> {
  const { upload_file, get_file } = fileRoutes;
  const target = propertiesOf(components.refer(uploadTarget, "input"));
  const details = propertiesOf(components.refer(fileDetails, "input"));
  const form: JsonSchema = {
    type: "object",
    properties: { ...target, ...details, file: { ...BYTES, description: "After all other fields" } },
    required: ["file"],
    additionalProperties: false,
  };
  return {
    ...route("upload_file", upload_file, {
      parameters: inQuery(target),
      requestBody: { required: true, content: { "multipart/form-data": { schema: form } } },
      responses: {
        201: {
          description: "Made",
          content: { "application/json": { schema: components.refer(uploaded, "output") } },
        },
        ...errorReferences("POST", [408, 507]),
      },
    }),
    ...route("get_file", get_file, {
      security: [{ bearer: [] }, { link: [] }],
      parameters: [
        FILE_ID,
        ...inQuery(propertiesOf(components.refer(linkQuery, "input"))),
        ...["Range", "If-Range", "If-None-Match"].map((name) => ({
          name,
          in: "header",
          schema: { type: "string" },
        })),
      ],
      responses: {
        200: { description: "The file", ...bytes() },
        206: { description: "The range that was asked for", ...bytes() },
        304: { description: "You have it" },
        ...errorReferences("GET", [416]),
      },
    }),
  };
}

function route(name: string, { rest, summary }: FileRoute, more: Json): Record<string, Json> {
  const operation = { operationId: name, summary, tags: ["files"], ...more };
  return { [rest.path.replaceAll(/:(\w+)/g, "{$1}")]: { [rest.method.toLowerCase()]: operation } };
}

const propertiesOf = (schema: JsonSchema): Properties => (schema.properties ?? {}) as Properties;

const inQuery = (properties: Properties): Json[] =>
  Object.entries(properties).map(([name, schema]) => ({ name, in: "query", required: false, schema }));

function bytes(): Json {
  const header = (description: string): Json => ({ description, schema: { type: "string" } });
  return {
    headers: {
      "ETag": header("The SHA-256 of the whole file"),
      "Content-Disposition": header("inline only for what a browser may show"),
      "Accept-Ranges": header("bytes"),
    },
    content: { "*/*": { schema: BYTES } },
  };
}
