/**
 * The wire's zod schemas as JSON Schema (draft 2020-12), for the contract documents and for tests. A model with
 * a `.meta({ id })` is written once and referred to; the same id with two shapes is an error, never a choice.
 * What a refinement checks in code (code points, one anchor at most) is not in them: the server may refuse more.
 */
import { z } from "zod";
import { type CommandName, commands } from "../protocol/commands.ts";
import { type ErrorCode, errorCodes } from "../protocol/errors.ts";
import { type EventName, events } from "../protocol/events.ts";

export type JsonSchema = Record<string, unknown>;
/** `input`: what a client may write, before defaults and cleaning. `output`: what it reads. */
export type Direction = "input" | "output";

const errorFields = {
  message: z.string().meta({ description: "For a developer to read; it may change, `code` does not" }),
  retryable: z.boolean().meta({ description: "True: the same request can succeed later" }),
  details: z.record(z.string(), z.unknown()).optional().meta({
    description: "By code: the `field` at fault and what was `expected`, how long to wait",
  }),
  requestId: z.string().optional().meta({ description: "Names the request in the server's log" }),
};

/** The error object of every door, with any code. */
export const errorBody: z.ZodType = z.strictObject({
  code: z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]),
  ...errorFields,
}).meta({ id: "Error" });

/** What REST answers with a status that belongs to these codes. */
export function errorAnswer(codes: readonly ErrorCode[]): z.ZodType {
  return z.strictObject({ error: z.strictObject({ code: z.enum(codes), ...errorFields }) });
}

/** What a command is answered with: REST's body, and `data` of an ack. Self-contained. */
export function outputSchemaOf(command: CommandName): JsonSchema {
  return toJsonSchema(commands[command].output, "output");
}

/** `data` of a push. Self-contained. */
export function eventSchemaOf(event: EventName): JsonSchema {
  return toJsonSchema(events[event].data, "output");
}

/** Gathers the models that one document refers to, under `components.schemas`. */
export class SchemaComponents {
  readonly schemas: Record<string, JsonSchema> = {};

  /** The schema as it stands in the document; the models in it become references. */
  refer(schema: z.ZodType, direction: Direction): JsonSchema {
    const { $schema: _, $defs, ...root } = toJsonSchema(schema, direction);
    for (const [id, model] of Object.entries(($defs ?? {}) as Record<string, JsonSchema>)) {
      this.#add(id, toComponentRefs(model));
    }
    return toComponentRefs(root);
  }

  #add(id: string, model: JsonSchema): void {
    const known = this.schemas[id];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(model)) {
      throw new Error(
        `The model ${id} has two shapes; does an input use a model that is cleaned on its way in?`,
      );
    }
    this.schemas[id] = model;
  }
}

function toComponentRefs(schema: JsonSchema): JsonSchema {
  return JSON.parse(
    JSON.stringify(schema),
    (key: string, value: unknown) =>
      key === "$ref" && typeof value === "string"
        ? value.replace(/^#\/\$defs\//, "#/components/schemas/")
        : value,
  );
}

function toJsonSchema(schema: z.ZodType, io: Direction): JsonSchema {
  return z.toJSONSchema(schema, { io, target: "draft-2020-12", override: tidy }) as JsonSchema;
}

/** zod repeats formats as long patterns and writes the bounds of every JavaScript integer: noise to a reader. */
function tidy({ jsonSchema: schema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (schema.format === "uuid") delete schema.pattern;
  if (schema.format === "date-time") {
    schema.pattern = "Z$"; // UTC: the format alone allows offsets
    schema.examples = ["2026-01-31T12:00:00.000Z"]; // else viewers make one up from the pattern
  }
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (JSON.stringify(schema.propertyNames) === '{"type":"string"}') delete schema.propertyNames;
}
