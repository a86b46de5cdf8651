/**
 * Packets and payloads that no client should send, as texts and bytes of Engine.IO: truncated, nested, with counts and
 * placeholders that lie, and commands with the wrong input. Inputs of commands are those of tests/hostile.
 */
import fc from "fast-check";
import { type CommandName, commands } from "../../src/protocol/commands.ts";
import { anyJson, fieldsFor, objectText } from "../hostile/garbage.ts";
import type { Packet } from "./conformance/packet_socket.ts";

const NAMES = Object.keys(commands) as CommandName[];
const HOLE = '{"_placeholder":true,"num":0}';

const id = fc.constantFrom(
  "",
  "0",
  "1",
  "12",
  "9007199254740991",
  "99999999999999999999",
  "-1",
  "1.5",
  "abc",
);
const namespace = fc.constantFrom("", "", "", "/,", "/custom,", "/__proto__,", "/a?b=c,", "/", "/never ends");
const count = fc.constantFrom("1", "2", "10", "11", "0", "-1", "1e9", "9".repeat(400), "", "NaN", "0x1");
const placeholders = fc.constantFrom(
  HOLE,
  '{"_placeholder":true,"num":1}',
  '{"_placeholder":true,"num":-1}',
  '{"_placeholder":true,"num":"__proto__"}',
  '{"_placeholder":true}',
  `{"a":${'[{"b":'.repeat(200)}${HOLE}${"}]".repeat(200)}}`,
  Array.from({ length: 50 }, () => HOLE).join(","),
);
const name = fc.constantFrom<string>(
  ...NAMES,
  ...[
    "connect",
    "disconnect",
    "disconnecting",
    "error",
    "newListener",
    "__proto__",
    "constructor",
    "offset",
    "",
  ],
);

/** A command as it should be written, with fields of its own. */
const command = fc.tuple(fc.constantFrom(...NAMES), id).chain(([each, ack]) =>
  fieldsFor(each, ["me", "__proto__", "01890a5d-ac96-774b-bcce-b302099a8057"]).map((fields) =>
    `2${ack}["${each}",${objectText(fields)}]`
  )
);
const event = fc.tuple(namespace, id, name, anyJson, fc.option(anyJson)).map(([nsp, ack, each, data, more]) =>
  `2${nsp}${ack}[${JSON.stringify(each)},${data}${more === null ? "" : `,${more}`}]`
);
const binary = fc.tuple(fc.constantFrom("5", "6"), count, namespace, id, name, placeholders).map(
  ([type, attachments, nsp, ack, each, holes]) =>
    `${type}${attachments}-${nsp}${ack}[${JSON.stringify(each)},${holes}]`,
);
const odd = fc.oneof(
  fc.constantFrom(
    "",
    "0",
    "1",
    "3",
    "4",
    "2",
    "2[]",
    "2{}",
    '0{"token":1}',
    "0/custom",
    '40{"sid":"x"}',
    "1/,",
    "9",
  ),
  fc.tuple(fc.constantFrom("0", "1", "2", "3", "4"), namespace, id, anyJson).map((parts) => parts.join("")),
  fc.string({ unit: "binary", maxLength: 100 }).map((text) => text.toWellFormed()),
);

/** Of Socket.IO. */
const message = fc.oneof(
  { weight: 4, arbitrary: command },
  { weight: 3, arbitrary: event },
  { weight: 3, arbitrary: binary },
  { weight: 2, arbitrary: odd },
);
const cut = fc.tuple(message, fc.double({ min: 0, max: 1, noNaN: true })).map(([text, share]) =>
  text.slice(0, Math.floor(text.length * share)).toWellFormed()
);
const text = fc.oneof({ weight: 3, arbitrary: message }, { weight: 1, arbitrary: cut });
const bytes = fc.uint8Array({ maxLength: 300 }).map((values) => Uint8Array.from(values));
/** Types of Engine.IO, of which only messages carry something. */
const engineOdd = fc.constantFrom(
  "",
  "0",
  "1",
  "2",
  "2probe",
  "3",
  "3probe",
  "5",
  "6",
  "7",
  "b",
  "b!!!!",
  "abc",
  "\x1e",
);

/** For a WebSocket: a list of frames. */
export const badPackets: fc.Arbitrary<Packet[]> = fc.array(
  fc.oneof<fc.MaybeWeightedArbitrary<Packet>[]>(
    { weight: 12, arbitrary: text.map((each) => `4${each}`) },
    { weight: 3, arbitrary: bytes },
    { weight: 1, arbitrary: engineOdd },
  ),
  { minLength: 1, maxLength: 6 },
);

/** For a POST: a body. */
export const badPayload: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: text.map((each) => `4${each}`) },
    { weight: 3, arbitrary: bytes.map((each) => `b${each.toBase64()}`) },
    { weight: 1, arbitrary: engineOdd },
  ),
  { maxLength: 8 },
).map((packets) => packets.join("\x1e"));

/** For the query of a request; `sids` are those of real sessions, one's own and others'. */
export const badQuery = (sids: readonly string[]): fc.Arbitrary<Record<string, string | undefined>> =>
  fc.record({
    EIO: fc.constantFrom("4", "4", "4", "3", "", "abc", undefined, "4,4", "\u0000"),
    transport: fc.constantFrom("polling", "polling", "websocket", "webtransport", "", undefined, "__proto__"),
    sid: fc.oneof(
      fc.constantFrom(...sids, undefined, "", "__proto__", "constructor", "../..", "%00", "a".repeat(5_000)),
      fc.string({ unit: "binary", maxLength: 60 }).map((sid) => sid.toWellFormed()),
    ),
    t: fc.constantFrom("", "x", undefined),
  });
