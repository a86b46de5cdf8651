/**
 * The door suite: what every transport must do alike. A test that is written with this runs once at each door, on a
 * node of its own; a new door joins by its name in DOOR_NAMES. Socket.IO has two, of which each test takes one, always
 * the same: they differ in their transport alone. EVERY_DOOR=1 takes both.
 */
import type { TestAppOptions, TestClaims } from "../helpers/test_app.ts";
import {
  type Door,
  DOOR_NAMES,
  type DoorClient,
  type DoorName,
  startDoors,
  type TestDoors,
} from "../helpers/doors.ts";

export function atEveryDoor(
  title: string,
  body: (door: Door, doors: TestDoors) => Promise<void>,
  options: TestAppOptions = {},
): void {
  for (const name of doorsOf(title)) {
    Deno.test(`${name}: ${title}`, async () => {
      await using doors = await startDoors(options);
      await body(doors[name], doors);
    });
  }
}

function doorsOf(title: string): DoorName[] {
  const leftOut = title.length % 2 === 0 ? "socketio" : "socketio_polling";
  return DOOR_NAMES.filter((name) => name !== leftOut || Deno.env.has("EVERY_DOOR"));
}

type Clients<N extends readonly string[]> = { -readonly [K in keyof N]: DoorClient };

/** Users who have signed in: the server knows them. */
export async function people<const N extends readonly string[]>(
  door: Door,
  ...names: N
): Promise<Clients<N>> {
  return await Promise.all(names.map((name) => signedIn(door, name))) as Clients<N>;
}

export async function signedIn(door: Door, name: string, claims?: TestClaims): Promise<DoorClient> {
  const client = await door.as(name, claims);
  await client.call("list_blocked");
  return client;
}

/** A room with its members, by role; answers its id. */
export async function makeRoom(
  owner: DoorClient,
  members: readonly (string | readonly [userId: string, role: string])[] = [],
  fields: Record<string, unknown> = {},
): Promise<string> {
  const { room } = await owner.call("create_room", { name: "a room", ...fields });
  for (const member of members) {
    const [userId, role] = typeof member === "string" ? [member, "MEMBER"] : member;
    await owner.call("add_member", { roomId: room.id, userId, role });
  }
  return room.id;
}

/** Every page of a list, one after the other. */
export async function readPages(
  client: DoorClient,
  command: string,
  noun: string,
  input: Record<string, unknown>,
  limit: number,
  // deno-lint-ignore no-explicit-any -- whatever the list is of
): Promise<any[][]> {
  const pages = [];
  let cursor: string | null = null;
  do {
    const answer = await client.call(command, { ...input, limit, ...(cursor === null ? {} : { cursor }) });
    pages.push(answer[noun]);
    cursor = answer.nextCursor;
  } while (cursor !== null);
  return pages;
}
