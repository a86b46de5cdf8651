/** Memberships: joining, leaving, bringing in, roles, mutes, bans. Hearing a room is in listening.ts. */
import type { CommandInput } from "../protocol/commands.ts";
import { ChatError } from "../protocol/errors.ts";
import type { RoomId, UserId } from "../protocol/ids.ts";
import { asJson, jsonArray, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import type { MemberRole } from "../protocol/models.ts";
import type { Change } from "../store/changes.ts";
import type { Reader } from "../store/database.ts";
import { findMember, listMembers } from "../store/memberships.ts";
import type { Actor } from "./actor.ts";
import { readCursor, writeCursor } from "./cursors.ts";
import { mayRead, rankFor, roleOnJoin } from "./permissions.ts";
import { refusal } from "./refusals.ts";
import type { RoomRules } from "./room_rules.ts";

export class Memberships {
  readonly #rules: RoomRules;
  readonly #maxMembers: number;

  constructor(uses: { rules: RoomRules; maxRoomMembers: number }) {
    this.#rules = uses.rules;
    this.#maxMembers = uses.maxRoomMembers;
  }

  /** Makes the actor a member, if the room is open to them; nothing happens to one who is. */
  async join(actor: Actor, roomId: RoomId): Promise<void> {
    const room = await this.#rules.known(actor, roomId);
    if (room.isMember) return;
    await this.#rules.write(actor, "join_room_v1", {
      roomId,
      userId: actor.userId,
      isAdmin: actor.isAdmin,
      role: roleOnJoin(actor, room.type),
      limit: this.#maxMembers,
    });
  }

  async leave(actor: Actor, roomId: RoomId): Promise<void> {
    await this.#rules.write(actor, "leave_room_v1", { roomId, userId: actor.userId });
  }

  async list(actor: Actor, ask: CommandInput<"list_members">): Promise<JsonText> {
    const banned = ask.status === "banned";
    const after = ask.cursor === undefined ? undefined : readCursor(ask.cursor, 1, false)[0] as UserId;
    const { roomId, limit } = ask;
    const read = (from: Reader) => listMembers(from, { roomId, banned, after, limit: limit + 1 });
    const own = await this.#rules.own(actor, ask, read);
    const room = own?.room ?? await this.#rules.known(actor, roomId);
    if (own === undefined && !(actor.isAdmin && room.type !== "DIRECT")) {
      throw await this.#rules.refuse(actor, "not_member", roomId);
    }
    const role = room.member === null ? undefined : JSON.parse(room.member).role as MemberRole;
    if (banned && !mayRead("list_banned", role, actor)) throw new ChatError("forbidden");
    const rows = own?.more ?? await read(this.#rules.db);
    const shown = rows.slice(0, ask.limit);
    const last = shown.at(-1);
    return jsonObject({
      members: jsonArray(shown.map((row) => row.json)),
      nextCursor: toJson(rows.length > ask.limit && last !== undefined ? writeCursor([last.userId]) : null),
    });
  }

  async add(actor: Actor, ask: CommandInput<"add_member">): Promise<JsonText> {
    const { changes } = await this.#rules.write(actor, "add_member_v1", {
      ...ask,
      ...asker(actor),
      minRank: rankFor("add_member_to_private"),
      minRankOpen: rankFor("add_member"),
      limit: this.#maxMembers,
    });
    return await this.#answer(changes, ask);
  }

  async update(actor: Actor, ask: CommandInput<"update_member">): Promise<JsonText> {
    const { roomId, userId, ...patch } = ask;
    const { changes } = await this.#rules.write(actor, "update_member_v1", {
      roomId,
      userId,
      patch,
      ...asker(actor),
      minRanks: { role: rankFor("change_role"), mute: rankFor("mute_member"), ban: rankFor("ban_member") },
    });
    return await this.#answer(changes, ask);
  }

  async remove(actor: Actor, ask: CommandInput<"remove_member">): Promise<JsonText> {
    const { changes } = await this.#rules.write(actor, "remove_member_v1", {
      ...ask,
      ...asker(actor),
      minRank: rankFor("remove_member"),
    });
    return await this.#answer(changes, ask);
  }

  /** The member as the write left it; read back if nothing had to change. */
  async #answer(changes: readonly Change[], ask: { roomId: RoomId; userId: UserId }): Promise<JsonText> {
    const json = changes.find((change) => change.kind === "membership")?.json ??
      await findMember(this.#rules.db, ask.roomId, ask.userId);
    if (json === undefined) throw refusal("user_not_member");
    return jsonObject({ member: asJson(json) });
  }
}

const asker = (actor: Actor) => ({ actorId: actor.userId, isAdmin: actor.isAdmin });
