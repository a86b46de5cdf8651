/**
 * Inputs that a command's schema refuses, made from the schema itself: every field missing, of every wrong type, out of
 * bounds, too long, and keys that are not in it. A door says how a field travels: in a path or a query all is text.
 */
import { z } from "zod";
import type { JsonSchema } from "../../src/http/json_schemas.ts";
import { type CommandName, commands, type RestBinding } from "../../src/protocol/commands.ts";
import { isAllowedBy } from "../helpers/contract.ts";
import type { DoorName, Json } from "../helpers/doors.ts";
import type { Reason } from "./refusal_rows.ts";

export interface BadInput {
  reason: Reason;
  input: Json;
  /** `details.field` is this, or something inside of it; undefined where the input as a whole is at fault. */
  field: string | undefined;
}

const ID = "01890a5d-ac96-774b-bcce-b302099a8057";
/** As JSON.parse makes it: an own key. */
const withKey = (key: string, value: Json): Json =>
  JSON.parse(`{${JSON.stringify(key)}:${JSON.stringify(value)}}`);

const VALUES: Json[] = [
  ...[null, true, false, 0, 7, -1, 1.5, 101, 2 ** 53, 1e21, [], ["text"], [[]], {}, { $ne: "" }, {
    length: 1,
  }],
  ...[
    "",
    "text",
    "TEXT ",
    "1",
    "0x10",
    "1e1",
    "-1",
    "true",
    "null",
    `${ID}0`,
    ID.slice(1),
    `{${ID}}`,
    `urn:uuid:${ID}`,
  ],
  ...[` ${ID}`, `${ID}\n`, ID.replaceAll("-", ""), "/", "..", "[object Object]", "Infinity", "２", "+1"],
  ...[{ epoch: "e" }, { seq: 1 }, { epoch: "e", seq: "1" }, { epoch: 7, seq: 1 }, { epoch: "", seq: 1 }],
  ...[{ epoch: "e", seq: -1 }, { epoch: "e", seq: 0.5 }, { epoch: "e", seq: 1, more: 1 }, {
    epoch: "x".repeat(65),
    seq: 1,
  }],
  ...["text", "__proto__", "constructor", `${ID} `].map((key) => withKey(key, { epoch: "e", seq: 1 })),
  ...[{ [ID]: null }, { [ID]: 1 }, { [ID]: { epoch: "e", seq: null } }, {
    [ID]: { epoch: "e", seq: 2 ** 53 },
  }],
];
const KEYS = [
  "more",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "",
  "RoomId",
  "user_id",
  "\u0000",
  "\ud800",
];
const WHOLES: Json[] = ["text", 7, true, [], [{}]];

type Place = "body" | "query" | "path";

export function inputSchemaOf(command: CommandName): JsonSchema & { properties: Record<string, JsonSchema> } {
  const schema = z.toJSONSchema(commands[command].input, { io: "input", unrepresentable: "any" });
  return { properties: {}, ...schema } as JsonSchema & { properties: Record<string, JsonSchema> };
}

/** `base` is an input that the command takes. */
export function badInputs(command: CommandName, door: DoorName, base: Record<string, Json>): BadInput[] {
  const { properties, required = [], $defs } = inputSchemaOf(command) as {
    properties: Record<string, JsonSchema>;
    required?: string[];
    $defs?: JsonSchema;
  };
  const rest = commands[command].rest;
  const placeOf = (field: string): Place => {
    if (door !== "rest" || rest === undefined) return "body";
    if (rest.path.includes(`:${field}`)) return "path";
    return hasBody(rest) ? "body" : "query";
  };
  const found: BadInput[] = [];
  for (const [field, schema] of Object.entries(properties)) {
    const whole: JsonSchema = { ...schema, ...($defs === undefined ? {} : { $defs }) };
    const place = placeOf(field);
    const isAllowed = (value: Json) =>
      isAllowedBy(`${command}.${field}`, whole, readAt(place, schema, value));
    for (const value of [...VALUES, ...overlong(schema)]) {
      if (place === "path" && (value === "" || value === ".." || typeof value !== "string")) continue;
      if (place === "query" && typeof value !== "string") continue;
      if (isAllowed(value)) continue;
      found.push({ reason: reasonOf(schema, value), input: { ...base, [field]: value }, field });
    }
    if (place === "query") {
      found.push({ reason: "wrong type", input: { ...base, [field]: ["a", "b"] }, field });
    }
    if (required.includes(field) && place !== "path") {
      const { [field]: _, ...input } = base;
      found.push({ reason: "missing field", input, field });
    }
  }
  for (const key of KEYS) {
    // a query is text in UTF-8, and what has no name in it is nothing
    if (door === "rest" && !hasBody(rest) && (key === "" || !key.isWellFormed())) continue;
    found.push({ reason: "unknown key", input: { ...base, ...withKey(key, "1") }, field: key });
  }
  if (door === "socket" || (hasBody(rest) && !rest?.path.includes(":"))) {
    for (const input of WHOLES) found.push({ reason: "wrong type", input, field: undefined });
  }
  return found;
}

const hasBody = (rest: RestBinding | undefined): boolean =>
  rest !== undefined && rest.method !== "GET" && rest.method !== "DELETE";

/** As the server reads it: numbers and truths of a query are told from text by the schema. */
function readAt(place: Place, schema: JsonSchema, value: Json): Json {
  if (place !== "query") return value;
  if (schema["type"] === "integer") return /^-?\d{1,16}$/.test(value) ? Number(value) : value;
  if (schema["type"] === "boolean") return value === "true" || value === "false" ? value === "true" : value;
  return value;
}

function overlong(schema: JsonSchema): string[] {
  const max = schema["format"] === "uuid" ? 2_000 : schema["maxLength"];
  return typeof max === "number" ? ["x".repeat(max + 1), "🕊".repeat(max + 1)] : [];
}

function reasonOf(schema: JsonSchema, value: Json): Reason {
  if (typeof value === "string" && value.length > 500) return "too long";
  if (typeof value === "string" && value.length > Number(schema["maxLength"] ?? Infinity)) return "too long";
  const types = typesOf(schema);
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const fits = types.includes(type) ||
    (type === "number" && types.includes("integer") && Number.isInteger(value));
  return fits ? "bad field" : "wrong type";
}

function typesOf(schema: JsonSchema): unknown[] {
  if (Array.isArray(schema["anyOf"])) return schema["anyOf"].flatMap((each) => typesOf(each));
  return [schema["type"] ?? "object"];
}
