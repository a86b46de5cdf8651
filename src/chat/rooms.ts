/** Rooms: made, listed, found, changed, deleted. Who is in them: memberships.ts. */
import { ChatError, invalidField } from "../protocol/errors.ts";
import type { CommandInput } from "../protocol/commands.ts";
import { newRoomId, type RoomId } from "../protocol/ids.ts";
import { asJson, jsonArray, jsonObject, type JsonText, toJson, withFields } from "../protocol/json_text.ts";
import type { Change } from "../store/changes.ts";
import { discoverRooms, listRooms, type RoomView } from "../store/rooms.ts";
import type { Actor } from "./actor.ts";
import { readCursor, writeCursor } from "./cursors.ts";
import { rankFor, requireMayCreate } from "./permissions.ts";
import type { RoomRules } from "./room_rules.ts";

export class Rooms {
  readonly #rules: RoomRules;

  constructor(uses: { rules: RoomRules }) {
    this.#rules = uses.rules;
  }

  async create(actor: Actor, ask: CommandInput<"create_room">): Promise<JsonText> {
    requireMayCreate(actor, ask.type, ask.courseId);
    if (ask.type === "COURSE" && ask.courseId === undefined) {
      throw invalidField("courseId", "needed for a COURSE room");
    }
    if (ask.type !== "COURSE" && ask.courseId !== undefined) {
      throw invalidField("courseId", "for COURSE rooms only");
    }
    const fixed = ask.type === "PUBLIC" ? false : ask.type === "PRIVATE" ? true : undefined;
    if (fixed !== undefined && ask.isPrivate !== undefined && ask.isPrivate !== fixed) {
      throw invalidField("isPrivate", `${fixed} for a ${ask.type} room`);
    }
    const params = {
      ...ask,
      id: newRoomId(),
      userId: actor.userId,
      description: ask.description ?? null,
      isPrivate: fixed ?? ask.isPrivate ?? false,
    };
    const { changes } = await this.#rules.write(actor, "create_room_v1", params);
    // the room's own change was made before its owner came in: its newest state rides with the inbox's
    const room = changes.find((change) => change.kind === "inbox")?.json ??
      (await this.#rules.known(actor, params.id)).json;
    return jsonObject({ room: asJson(room) });
  }

  async get(actor: Actor, ask: CommandInput<"get_room">): Promise<JsonText> {
    const room = await this.#rules.known(actor, ask.roomId);
    if (room.isBanned && !actor.isAdmin) throw new ChatError("banned");
    return jsonObject({ room: listed(room) });
  }

  async list(actor: Actor, ask: CommandInput<"list_rooms">): Promise<JsonText> {
    const after = ask.cursor === undefined ? undefined : readCursor(ask.cursor, 1)[0] as RoomId;
    const rooms = await listRooms(this.#rules.db, actor.userId, after, ask.limit + 1);
    return pageOfRooms(rooms, ask.limit, (last) => [last.id]);
  }

  async discover(actor: Actor, ask: CommandInput<"discover_rooms">): Promise<JsonText> {
    const [name, id] = ask.cursor === undefined ? [] : readCursor(ask.cursor, 2);
    const rooms = await discoverRooms(this.#rules.db, {
      userId: actor.userId,
      courses: actor.courses,
      isAdmin: actor.isAdmin,
      query: ask.query === "" ? undefined : ask.query,
      type: ask.type,
      courseId: ask.courseId,
      after: name === undefined || id === undefined ? undefined : { name, id: id as RoomId },
      limit: ask.limit + 1,
    });
    return pageOfRooms(rooms, ask.limit, (last) => [JSON.parse(last.json).name, last.id]);
  }

  async update(actor: Actor, ask: CommandInput<"update_room">): Promise<JsonText> {
    const { roomId, ...patch } = ask;
    const { changes } = await this.#rules.write(actor, "update_room_v1", {
      roomId,
      actorId: actor.userId,
      isAdmin: actor.isAdmin,
      minRank: rankFor("update_room"),
      patch,
    });
    return jsonObject({ room: asJson(roomJson(changes)) });
  }

  async delete(actor: Actor, ask: CommandInput<"delete_room">): Promise<JsonText> {
    await this.#rules.write(actor, "delete_room_v1", {
      roomId: ask.roomId,
      actorId: actor.userId,
      isAdmin: actor.isAdmin,
      minRank: rankFor("delete_room"),
    });
    return toJson({});
  }
}

function roomJson(changes: readonly Change[]): string {
  const change = changes.find((each) => each.kind === "room");
  if (change === undefined) throw new Error("A write of a room made no change of it");
  return change.json;
}

function listed(view: RoomView): JsonText {
  return withFields(view.json, {
    member: view.isMember && view.member !== null ? asJson(view.member) : toJson(null),
    unread: view.isMember && view.unread !== null ? asJson(view.unread) : toJson(null),
    position: toJson({ epoch: view.epoch, seq: view.lastSeq }),
  });
}

/** `rooms` holds one more than `limit` if there is a next page. */
function pageOfRooms(
  rooms: readonly RoomView[],
  limit: number,
  placeOf: (last: RoomView) => string[],
): JsonText {
  const shown = rooms.slice(0, limit);
  const last = shown.at(-1);
  return jsonObject({
    rooms: jsonArray(shown.map(listed)),
    nextCursor: toJson(rooms.length > limit && last !== undefined ? writeCursor(placeOf(last)) : null),
  });
}
