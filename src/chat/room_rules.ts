/**
 * What all rules on rooms share: one call of a write function, its refusal told in the client's words, its changes
 * published after the commit.
 */
import type { Hub } from "../delivery/hub.ts";
import type { NearReads } from "../delivery/near_reads.ts";
import { ChatError } from "../protocol/errors.ts";
import type { RoomId } from "../protocol/ids.ts";
import { type Change, changesOf, type WriteAnswer } from "../store/changes.ts";
import type { Database, Reader } from "../store/database.ts";
import { callWrite, findRoom, type RoomView, type WriteFunction } from "../store/rooms.ts";
import type { Actor } from "./actor.ts";
import { mayKnow } from "./permissions.ts";
import type { Rates } from "./rates.ts";
import { refusal } from "./refusals.ts";

/** Writes that tell a room no more than a message does; the others are limited more narrowly. */
const OF_MESSAGES: ReadonlySet<WriteFunction> = new Set([
  "edit_message_v1",
  "delete_message_v1",
  "mark_read_v1",
]);

export class RoomRules {
  readonly db: Database;
  readonly near: NearReads;
  readonly #hub: Hub;
  readonly #rates: Rates;

  constructor(uses: { db: Database; near: NearReads; hub: Hub; rates: Rates }) {
    this.db = uses.db;
    this.near = uses.near;
    this.#hub = uses.hub;
    this.#rates = uses.rates;
  }

  /** Writes, publishes, and answers what the function said. Throws a ChatError for what it refused. */
  async write<T extends WriteAnswer>(
    actor: Actor,
    name: WriteFunction,
    params: { roomId?: RoomId } & Record<string, unknown>,
  ): Promise<{ answer: T; changes: Change[] }> {
    if (!OF_MESSAGES.has(name)) this.#rates.takeChange(actor.userId);
    const answer = await callWrite<T>(this.db, name, params);
    if (answer.code !== null) throw await this.refuse(actor, answer.code, params.roomId);
    const changes = changesOf(answer);
    this.#hub.publish(changes);
    return { answer, changes };
  }

  /** A non-member is told 403 of a room they may know of, and whether they are banned; 404 of any other. */
  async refuse(actor: Actor, code: string, roomId: RoomId | undefined): Promise<ChatError> {
    if (code !== "not_member") return refusal(code);
    const room = roomId === undefined ? undefined : await findRoom(this.db, roomId, actor.userId);
    if (room === undefined || !mayKnow(actor, room)) return refusal("not_found");
    return room.isBanned
      ? new ChatError("banned")
      : new ChatError("forbidden", "You are not a member of this room");
  }

  /** The room, if the actor may know of it. */
  async known(actor: Actor, roomId: RoomId): Promise<RoomView> {
    const room = await findRoom(this.db, roomId, actor.userId);
    if (room === undefined || !mayKnow(actor, room)) throw refusal("not_found");
    return room;
  }

  /** The room, if the actor is a member of it, and what is read after it; near by where that is as good. */
  async own<T>(
    { userId }: Actor,
    { roomId, minSeq }: { roomId: RoomId; minSeq?: number | undefined },
    readMore: (from: Reader) => Promise<T>,
  ): Promise<{ room: RoomView; more: T } | undefined> {
    return await this.near.read({
      ...{ userId, minSeq },
      query: async (from) => {
        const room = await findRoom(from, roomId, userId);
        if (!room?.isMember) return undefined;
        const { lastSeq, inboxSeq } = room;
        return { roomId, lastSeq, inboxSeq, room, more: await readMore(from) };
      },
    });
  }

  /** The room, if the actor is a member of it. */
  async joined(actor: Actor, roomId: RoomId): Promise<RoomView> {
    const room = await this.known(actor, roomId);
    if (!room.isMember) throw await this.refuse(actor, "not_member", roomId);
    return room;
  }
}
