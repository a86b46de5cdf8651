/** A query and a form know text only: what a command's input wants as a number, a truth or a list is read as such. */
import { z } from "zod";
import { invalidField } from "../protocol/errors.ts";

/** The JSON type of each field of an input, by name. */
export type FieldTypes = ReadonlyMap<string, string | undefined>;

export function fieldTypes(input: z.ZodType): FieldTypes {
  const { properties = {} } = z.toJSONSchema(input, { io: "input", unrepresentable: "any" });
  return new Map(
    Object.entries(properties).map((
      [name, schema],
    ) => [name, typeof schema === "object" ? String(schema.type) : undefined]),
  );
}

/** `texts`: each time that the field was given. What does not read as its type stays text, to be refused as such. */
export function readText(types: FieldTypes, name: string, texts: readonly string[]): unknown {
  const type = types.get(name);
  const [text] = texts;
  if (type === "array") return texts.length === 1 && text?.startsWith("[") ? readList(text) : texts;
  if (text === undefined || texts.length > 1) throw invalidField(name.slice(0, 64), "Expected once");
  if (type === "integer" || type === "number") return /^-?\d{1,16}$/.test(text) ? Number(text) : text;
  if (type === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return text;
}

function readList(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
