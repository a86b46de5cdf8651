/** Nothing that a client sends is answered with a fault of ours; the server logs none either (helpers/doors.ts). */
import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { type CommandName, commands } from "../../src/protocol/commands.ts";
import { type Door, DOOR_NAMES, type DoorName, type Json, startDoors } from "../helpers/doors.ts";
import { Refused } from "../helpers/test_socket.ts";
import { inputSchemaOf } from "../suites/bad_inputs.ts";
import { inTurns } from "../suites/turns.ts";
import { FORGED_CURSORS, HOSTILE_NUMBERS, HOSTILE_TEXTS } from "../suites/hostile_values.ts";
import { claimsOf, type Scene, setScene } from "../suites/scene.ts";
import { VALID } from "../suites/valid_inputs.ts";

/** For fields that are refused by their form, long before anybody looks at what they say. */
const SOME_TEXTS = HOSTILE_TEXTS.filter((_, i) => i % 8 === 0);
/** What ends something comes last. */
const LAST: CommandName[] = [
  "delete_message",
  "update_member",
  "remove_member",
  "leave_room",
  "block_user",
  "delete_room",
];
const NAMES = (Object.keys(commands) as CommandName[]).sort((a, b) => LAST.indexOf(a) - LAST.indexOf(b));
const atDoor = (door: DoorName, name: CommandName): boolean =>
  door !== "rest" || commands[name].rest !== undefined;
const OUR_FAULTS = ["internal", "unavailable", "busy"];

/** "answered", or the code; our own faults are told with what caused them. */
async function outcomeOf(call: Promise<Json>, cause: () => string): Promise<string> {
  try {
    await call;
    return "answered";
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    return OUR_FAULTS.includes(fault.code) ? `${fault.code}: ${cause().slice(0, 300)}` : fault.code;
  }
}

function hostileInputs(command: CommandName, scene: Scene): Json[] {
  const [, input] = VALID[command];
  const base = input(scene);
  return Object.entries(inputSchemaOf(command).properties).flatMap(([field, schema]) => {
    const values: readonly Json[] = schema["type"] === "integer"
      ? HOSTILE_NUMBERS
      : field === "since" || field === "positions"
      ? HOSTILE_TEXTS.map((epoch) => ({ epoch, seq: 2 ** 53 - 1 }))
      : field === "cursor"
      ? [...HOSTILE_TEXTS, ...FORGED_CURSORS]
      : "format" in schema || "enum" in schema
      ? SOME_TEXTS
      : HOSTILE_TEXTS;
    const placed = field === "positions" ? values.map((each) => ({ [scene.rooms.open]: each })) : values;
    return placed.map((value) => ({ ...base, [field]: value }));
  });
}

/** A URL has its own limit, which clients keep. */
function fitForUrl(command: CommandName, input: Json): Json {
  const { path, method } = commands[command].rest ?? { path: "", method: "GET" };
  const inUrl = (field: string) => path.includes(`:${field}`) || method === "GET" || method === "DELETE";
  return Object.fromEntries(
    Object.entries(input).map(([field, value]) =>
      inUrl(field) && typeof value === "string" ? [field, value.slice(0, 2_000)] : [field, value]
    ),
  );
}

async function knock(door: Door, scene: Scene): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  for (const command of NAMES.filter((name) => atDoor(door.name, name))) {
    const [by] = VALID[command];
    const client = await door.as(by, claimsOf(by));
    const inputs = hostileInputs(command, scene);
    const fitting = door.name === "rest" ? inputs.map((input) => fitForUrl(command, input)) : inputs;
    await inTurns(fitting, async (input) => {
      const outcome = await outcomeOf(
        client.call(command, input),
        () => `${command} ${JSON.stringify(input)}`,
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    });
  }
  return outcomes;
}

/** Socket.IO's two differ in their transport alone. */
const DOORS = DOOR_NAMES.filter((name) => name !== "socketio_polling" || Deno.env.has("EVERY_DOOR"));

for (const name of DOORS) {
  Deno.test(`${name}: hostile texts, numbers and cursors in every field are taken or refused`, async () => {
    await using doors = await startDoors();
    const outcomes = await knock(doors[name], await setScene(doors.rest));
    deepStrictEqual(
      [...outcomes.keys()].filter((each) => OUR_FAULTS.some((code) => each.startsWith(code))),
      [],
    );
    ok(
      (outcomes.get("answered") ?? 0) > 100 && (outcomes.get("invalid_request") ?? 0) > 500,
      JSON.stringify([...outcomes]),
    );
  });

  Deno.test(`${name}: whatever JSON a command is given, it is taken or refused`, async () => {
    const json = fc.jsonValue({ stringUnit: "binary", maxDepth: 3 }) as fc.Arbitrary<Json>;
    fc.sample(json, 1); // it prepares for a second, in which this process could serve nobody
    await using doors = await startDoors();
    const scene = await setScene(doors.rest);
    const client = await doors[name].as("member");
    const ask = fc.constantFrom(...NAMES.filter((each) => atDoor(name, each))).chain((command) => {
      const [, input] = VALID[command];
      const base = input(scene);
      const fields = Object.keys(inputSchemaOf(command).properties);
      const some = fc.record(Object.fromEntries(fields.map((field) => [field, json])), { requiredKeys: [] });
      return fc.tuple(fc.constant(command), fc.oneof(json, some, some.map((more) => ({ ...base, ...more }))));
    });
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(ask, async ([command, input]) => {
        const outcome = await outcomeOf(client.call(command, input), () => "");
        if (outcome === "answered") answered++;
        ok(!OUR_FAULTS.includes(outcome.split(":")[0] ?? ""), outcome);
      }),
      { numRuns: 300 },
    );
    ok(answered > 0);
  });
}
