/** Values that have broken servers before: none may be answered with a fault of ours. */
import { toCursor } from "./cursors.ts";

const BEYOND_LIMIT = "x".repeat(100_000);

/** For fields of text, whatever they mean; ids and names of properties among them. */
export const HOSTILE_TEXTS: readonly string[] = [
  ...[
    "\u0000",
    "a\u0000b",
    "\ud800",
    "\udc00x",
    "a\ud83d",
    "\uffff\ufffe",
    "\u202e\u2066",
    "\u2028",
    "\ufeff",
    "\u00ad",
  ],
  ...[
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "then",
    "undefined",
    "null",
    "NaN",
  ],
  ...[
    "'; drop table messages; --",
    "' or '1'='1",
    "$1",
    "%",
    "_",
    "\\",
    "\\'",
    "%_\\%",
    "E'\\x00'",
    "{}",
    "{a,b}",
    "[]",
  ],
  ...[
    "\r\nx-injected: 1",
    "a\r\n\r\nb",
    "${7*7}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "%00",
    "%zz",
  ],
  ...["ﷺ", "İ", "ß", "Ǆ", "e\u0301".repeat(50), "👨‍👩‍👧‍👦", "\u0085", "\t", "\n", " ", "\u00a0", "\u200b"],
  ...[
    "a & b | !c",
    '"unbalanced',
    "-",
    "or",
    "- or -",
    "(",
    ":*",
    "a<->b",
    "\\0",
    "!".repeat(100),
    BEYOND_LIMIT,
  ],
];

export const HOSTILE_NUMBERS: readonly number[] = [0, -0, 1, 100, 2 ** 31, 2 ** 32, 2 ** 53 - 1];

/** Cursors that nobody was given. */
export const FORGED_CURSORS: readonly string[] = [
  ...[
    "",
    "x",
    "=",
    "e30",
    "AAAA",
    "____",
    "bnVsbA",
    toCursor(null),
    toCursor({}),
    toCursor([]),
    toCursor([null]),
  ],
  ...[[1], ["a"], ["a", "b"], ["a", "b", "c"], ["\u0000"], ["\ud800"], [["a"]], [{}]].map(toCursor),
  ...["01890a5d-ac96-774b-bcce-b302099a8057", "00000000-0000-0000-0000-000000000000"].flatMap((id) => [
    ...[[id], [id, id], ["name", id], ["\u0000", id], ["", id], ["%", id], ["x".repeat(700), id]].map(
      toCursor,
    ),
    ...TIMES().map((time) => toCursor([time, id])),
  ]),
];

/** JavaScript takes some that Postgres does not. */
function TIMES(): string[] {
  const days = [
    "2026-02-30",
    "2026-02-29",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "2026-13-01",
    "2026-00-10",
  ];
  const times = [
    "00:00:00",
    "24:00:00",
    "23:59:60",
    "12:00:00.123456",
    "12:00:00.1234567",
    "12:00:00+02",
    "12:00",
  ];
  return [
    ...days.map((day) => `${day} 00:00:00`),
    ...times.map((time) => `2026-02-03 ${time}`),
    ...[
      "infinity",
      "-infinity",
      "now",
      "epoch",
      "tomorrow",
      "",
      "2026-02-03T00:00:00Z",
      "20260203",
      "-0044-03-15 00:00:00",
    ],
  ];
}
