/**
 * The contract, held against what really comes over the wire: answers, pushes and errors have to fit the JSON Schemas
 * that are published for them. What does not fit is told with its path. Compiled once a process.
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { z } from "zod";
import { errorBody, eventSchemaOf, type JsonSchema, outputSchemaOf } from "../../src/http/json_schemas.ts";
import { isCommandName } from "../../src/protocol/commands.ts";
import { type EventName, events } from "../../src/protocol/events.ts";

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
formats.default(ajv);
const validators = new Map<string, ValidateFunction>();

/** What came does not fit what is published. */
export class BrokenContract extends Error {
  override readonly name = "BrokenContract";
}

/** A command's answer: REST's body, or `data` of an ack. */
export function requireAnswerFits(command: string, answer: unknown): void {
  if (!isCommandName(command)) {
    throw new BrokenContract(`There is no command ${command}, but it was answered`);
  }
  requireFits(`answer to ${command}`, () => outputSchemaOf(command), answer);
}

/** `data` of a push. */
export function requirePushFits(event: string, data: unknown): void {
  if (!Object.hasOwn(events, event)) throw new BrokenContract(`An event that is not published: ${event}`);
  requireFits(`event ${event}`, () => eventSchemaOf(event as EventName), data);
}

/** The error object: REST's `error`, or `error` of an ack. */
export function requireErrorFits(error: unknown): void {
  const schema = () => z.toJSONSchema(errorBody, { io: "output", target: "draft-2020-12" }) as JsonSchema;
  requireFits("error", schema, error);
}

/** Whether a value is one that the schema allows. */
export function isAllowedBy(name: string, schema: JsonSchema, value: unknown): boolean {
  return validatorOf(name, () => schema)(value);
}

function requireFits(name: string, schema: () => JsonSchema, value: unknown): void {
  const validate = validatorOf(name, schema);
  if (validate(value)) return;
  const faults = new Set(
    (validate.errors ?? []).map((each) => `${each.instancePath || "/"} ${each.message}`),
  );
  throw new BrokenContract(
    `The ${name}: ${[...faults].join("; ")}, in ${JSON.stringify(value).slice(0, 2_000)}`,
  );
}

function validatorOf(name: string, schema: () => JsonSchema): ValidateFunction {
  const known = validators.get(name) ?? ajv.compile(schema());
  validators.set(name, known);
  return known;
}
