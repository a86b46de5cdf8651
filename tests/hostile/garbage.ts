/**
 * Garbage: JSON texts of any shape, as text, since some cannot be made from a value: nesting deeper than a stack,
 * numbers that are none, keys that come twice. Inputs of commands are made from their schemas, right and wrong mixed.
 */
import fc from "fast-check";
import { z } from "zod";
import { type CommandName, commands } from "../../src/protocol/commands.ts";

const NAUGHTY = [
  ...[
    "",
    " ",
    "\u0000",
    "\ud800",
    "\udfff\ud800",
    "\u202e",
    "\ufeff",
    "\uffff",
    "\u2028",
    "a\u0300".repeat(50),
  ],
  ...[
    "🧑‍🤝‍🧑",
    "﷽".repeat(40),
    "\u{10ffff}",
    "ﷺ",
    "İ",
    "ß",
    "\u0085",
    "\r\n\t",
    "\x7f",
    "\\",
    '"',
    "'",
    "%",
    "%00",
  ],
  ...[
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "then",
    "length",
    "null",
    "undefined",
  ],
  ...[
    "NaN",
    "-1",
    "1e400",
    "0x10",
    "../..",
    "..%2f",
    "'; drop table rooms; --",
    "{{7*7}}",
    "${7*7}",
    "$where",
    "%s%n",
  ],
  ...[
    "<script>",
    "javascript:0",
    "a & !b | (",
    '"unclosed',
    "***",
    "\\u0000",
    "error",
    "connect",
    "disconnecting",
  ],
];
const HUGE = 300_000;

const nested = fc.tuple(
  fc.constantFrom(["[", "]"], ['{"a":', "}"], ['{"__proto__":', "}"]),
  fc.constantFrom(30, 500, 10_000),
)
  .map(([[open = "", close = ""], depth]) => `${open.repeat(depth)}1${close.repeat(depth)}`);
const odd = fc.constantFrom(
  ...["1e400", "-1e400", "-0", "1e-400", "9007199254740993", "123456789012345678901234567890", "1.5"],
  ...[
    '{"__proto__":{"isAdmin":true}}',
    '{"constructor":{"prototype":{"a":1}}}',
    '{"a":1,"a":2}',
    "[[],[],{}]",
  ],
  ...[
    '{"toString":1,"valueOf":2}',
    '{"then":"x"}',
    '{"toJSON":"x"}',
    '{"length":4294967295}',
    "[null]",
    '{"$ne":null}',
  ],
);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NAUGHTY) },
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 60 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(
      fc.constantFrom("a", "\u0000", "€", "\ud800", "\\"),
      fc.integer({ min: 1, max: HUGE }),
    ).map(([unit, count]) => unit.repeat(count)),
  },
);
/** Any JSON at all. */
export const anyJson: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: text.map((each) => JSON.stringify(each)) },
  { weight: 4, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)) },
  { weight: 2, arbitrary: odd },
  { weight: 1, arbitrary: nested },
);

type Schema = {
  type?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  $ref?: string;
};

/** Something of the right type at least; `ids` are those of real things, one's own and others'. */
function likely(schema: Schema, ids: readonly string[]): fc.Arbitrary<string> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum.map((value) => JSON.stringify(value)));
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((each) => likely(each, ids)));
  switch (schema.type) {
    case "integer":
    case "number":
      return fc.integer({ min: -2, max: 200 }).map(String);
    case "boolean":
      return fc.constantFrom("true", "false");
    case "null":
      return fc.constant("null");
    case "object":
      return fc.constantFrom(...ids).map((id) =>
        JSON.stringify({ [id]: { epoch: id, seq: 0 }, epoch: "x", seq: 1 })
      );
    default:
      return fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom(...ids).map((id) => JSON.stringify(id)) },
        { weight: 1, arbitrary: text.map((each) => JSON.stringify(each)) },
      );
  }
}

/** Fields of a command's input as JSON texts: some right, some wrong, some missing, some that are none. */
export function fieldsFor(
  command: CommandName,
  ids: readonly string[],
): fc.Arbitrary<Record<string, string>> {
  const { properties = {} } = z.toJSONSchema(commands[command].input, {
    io: "input",
    unrepresentable: "any",
  }) as Schema;
  const fields: Record<string, fc.Arbitrary<string | undefined>> = {};
  for (const [name, schema] of Object.entries(properties)) {
    fields[name] = fc.oneof(
      { weight: 6, arbitrary: likely(schema, ids) },
      { weight: 2, arbitrary: anyJson },
      { weight: 1, arbitrary: fc.constant(undefined) },
    );
  }
  const more = fc.option(fc.tuple(text, anyJson), { freq: 8, nil: undefined });
  return fc.tuple(fc.record(fields), more).map(([known, extra]) => {
    const all: Record<string, string> = Object.create(null);
    for (const [name, value] of Object.entries(known)) if (value !== undefined) all[name] = value;
    if (extra !== undefined) all[extra[0].slice(0, 1_000)] = extra[1];
    return all;
  });
}

export const objectText = (fields: Record<string, string>): string =>
  `{${Object.entries(fields).map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
