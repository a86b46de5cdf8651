/**
 * JSON that is already text. A page of rows is made JSON by Postgres, a push's data once for all its
 * readers; doors only wrap them. Nothing here parses.
 */
export type JsonText = string & { readonly __json: "text" };

/** Vouches that the text is JSON: for what Postgres made. */
export const asJson = (text: string): JsonText => text as JsonText;

export function toJson(value: unknown): JsonText {
  return JSON.stringify(value) as JsonText;
}

export function jsonArray(items: readonly string[]): JsonText {
  return `[${items.join(",")}]` as JsonText;
}

/** An object of parts that are JSON already; a part that is undefined is left out. */
export function jsonObject(parts: Readonly<Record<string, JsonText | undefined>>): JsonText {
  const fields: string[] = [];
  for (const [name, part] of Object.entries(parts)) {
    if (part !== undefined) fields.push(`${JSON.stringify(name)}:${part}`);
  }
  return `{${fields.join(",")}}` as JsonText;
}

/** The object with more fields at its end. `object` must have at least one field. */
export function withFields(object: string, parts: Readonly<Record<string, JsonText | undefined>>): JsonText {
  const more = jsonObject(parts).slice(1);
  return (more === "}" ? object : `${object.slice(0, -1)},${more}`) as JsonText;
}
