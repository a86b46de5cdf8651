/** Every command times every reason to refuse it, at both doors. The tables: suites/refusals.ts and bad_inputs.ts. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { type CommandName, commands } from "../../src/protocol/commands.ts";
import { Refused } from "../helpers/test_socket.ts";
import {
  type Door,
  DOOR_NAMES,
  type DoorClient,
  type DoorName,
  type Json,
  refusalOf,
  startDoors,
} from "../helpers/doors.ts";
import { type BadInput, badInputs } from "../suites/bad_inputs.ts";
import { NOT_APPLICABLE } from "../suites/not_applicable.ts";
import { type Reason, REASONS, type Refusal } from "../suites/refusal_rows.ts";
import { REFUSALS } from "../suites/refusals.ts";
import { ABSENT, claimsOf, type Person, type Scene, setScene } from "../suites/scene.ts";
import { inTurns } from "../suites/turns.ts";
import { VALID } from "../suites/valid_inputs.ts";

const NAMES = Object.keys(commands) as CommandName[];
const atDoor = (door: DoorName, name: CommandName): boolean =>
  door !== "rest" || commands[name].rest !== undefined;

/** Clients by person, made when first asked for. */
function clientsAt(door: Door): (person: Person) => Promise<DoorClient> {
  const clients = new Map<Person, Promise<DoorClient>>();
  return (person) => {
    const client = clients.get(person) ?? door.as(person, claimsOf(person));
    clients.set(person, client);
    return client;
  };
}

/** What came of a call, in a form that shows up well in a difference. */
async function outcomeOf(call: Promise<Json>): Promise<{ code: string; field?: string }> {
  try {
    await call;
    return { code: "not refused" };
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    const field = fault.body.details?.field;
    return { code: fault.code, ...(field === undefined ? {} : { field }) };
  }
}

/** Everything that a command could have changed. */
async function contentsOf(url: string): Promise<string[]> {
  const sql = postgres(url, { max: 1, fetch_types: false });
  try {
    const tables = ["rooms", "memberships", "messages", "user_blocks"];
    return await Promise.all(tables.map(async (table) => {
      const [row] = await sql`select md5(string_agg(t::text, ',' order by t::text)) as sum from ${
        sql(table)
      } t`;
      return `${table} ${row?.["sum"]}`;
    }));
  } finally {
    await sql.end();
  }
}

for (const name of DOOR_NAMES) {
  Deno.test(`${name}: every command is refused for every reason, with its code, and changes nothing`, async (t) => {
    await using doors = await startDoors();
    const door = doors[name];
    const scene = await setScene(doors.rest);
    const client = clientsAt(door);
    for (const person of new Set(REFUSALS.map(({ by }) => by))) await client(person);
    const before = await contentsOf(doors.app.database.url);

    for (const reason of REASONS.filter((each) => REFUSALS.some((row) => row.reason === each))) {
      await t.step(reason, async () => {
        const rows = REFUSALS.filter((row) => row.reason === reason && atDoor(name, row.command));
        const seen: Json[] = [];
        for (const { by, command, input } of rows) {
          seen.push({ by, command, ...await outcomeOf((await client(by)).call(command, input(scene))) });
        }
        // a field that the table does not name may be told or not
        const wanted = rows.map(({ by, command, code, field }, i) => ({
          by,
          command,
          code,
          ...toldField(field, seen[i]),
        }));
        deepStrictEqual(seen, wanted);
      });
    }
    await t.step("not signed in", async () => {
      const nobody = await door.enter(undefined);
      // the last one ends a socket
      for (const command of NAMES.filter((each) => atDoor(name, each)).sort(lastIs("authenticate"))) {
        const [, input] = VALID[command];
        deepStrictEqual(
          await outcomeOf(nobody.call(command, input(scene))),
          { code: "unauthenticated" },
          command,
        );
      }
    });
    await t.step("what the schema refuses", async () => {
      const wrong: Json[] = [];
      for (const command of NAMES.filter((each) => atDoor(name, each))) {
        const [by, input] = VALID[command];
        const asker = await client(by);
        await inTurns(badInputs(command, name, input(scene)), async (bad) => {
          const outcome = await outcomeOf(asker.call(command, bad.input));
          if (isTold(outcome, bad)) return;
          wrong.push({ command, outcome, ...bad, input: JSON.stringify(bad.input).slice(0, 300) });
        });
      }
      deepStrictEqual(wrong, []);
    });
    await t.step("nothing has changed", async () => {
      deepStrictEqual(await contentsOf(doors.app.database.url), before);
    });
  });

  Deno.test(`${name}: a room one may not know of is answered like one that is not there`, async () => {
    await using doors = await startDoors();
    const scene = await setScene(doors.rest);
    const client = clientsAt(doors[name]);
    const told = async (by: Person, command: CommandName, input: Json): Promise<Json> => {
      const { requestId, ...body } = (await refusalOf((await client(by)).call(command, input))).body;
      strictEqual(requestId.length, 36);
      return body;
    };
    const hidden: (readonly [Person, keyof Scene["rooms"]])[] = [
      ["stranger", "closed"],
      ["stranger", "course"],
      ["stranger", "direct"],
      ["stranger", "gone"],
      ["platformAdmin", "direct"],
      ["suspended", "course"],
    ];
    for (const [by, room] of hidden) {
      const inRoom = REFUSALS.filter((row) =>
        row.reason === "absent" && row.code === "not_found" && row.field === undefined &&
        atDoor(name, row.command)
      )
        .filter((row) => row.input(scene).roomId === ABSENT);
      ok(inRoom.length > 10);
      for (const { command, input } of inRoom) {
        const absent = await told(by, command, input(scene));
        deepStrictEqual(
          await told(by, command, { ...input(scene), roomId: scene.rooms[room] }),
          absent,
          command,
        );
      }
    }
    for (const messageId of Object.values(scene.messages)) {
      for (const command of ["update_message", "delete_message", "mark_as_read"] as const) {
        const input = { messageId, ...(command === "update_message" ? { content: "mine" } : {}) };
        deepStrictEqual(
          await told("stranger", command, input),
          await told("stranger", command, { ...input, messageId: ABSENT }),
        );
      }
    }
  });
}

Deno.test("REFUSALS has a row for every command and reason, or says why there is none", () => {
  const made = (command: CommandName): Reason[] => {
    const [, input] = VALID[command];
    const scene = { rooms: {}, messages: {} } as Scene;
    return DOOR_NAMES.filter((door) => atDoor(door, command))
      .flatMap((door) => badInputs(command, door, input(scene)).map((bad: BadInput) => bad.reason));
  };
  const faults: string[] = [];
  for (const command of NAMES) {
    const covered = new Set<Reason>([
      "not signed in",
      ...REFUSALS.filter((row: Refusal) => row.command === command).map((row: Refusal) => row.reason),
      ...made(command),
    ]);
    for (const reason of REASONS) {
      const why = NOT_APPLICABLE.filter((each) => each.reason === reason && each.commands.includes(command));
      if (covered.has(reason) === (why.length > 0)) {
        faults.push(`${command}, ${reason}: ${JSON.stringify(why)}`);
      }
    }
  }
  deepStrictEqual(faults, []);
});

const lastIs = (last: string) => (a: string, b: string): number => Number(a === last) - Number(b === last);

function toldField(wanted: string | undefined, seen: Json): { field?: string } {
  if (wanted !== undefined) return { field: wanted };
  return seen.field === undefined ? {} : { field: seen.field };
}

function isTold(outcome: { code: string; field?: string }, { field }: BadInput): boolean {
  if (outcome.code !== "invalid_request") return false;
  if (field === undefined) return outcome.field === undefined || outcome.field === "";
  return outcome.field === field || (outcome.field ?? "").startsWith(`${field}.`) ||
    (field.length > 64 && outcome.field === field.slice(0, 64));
}
