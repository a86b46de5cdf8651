/**
 * Direct messages: messages of the DIRECT room of two users, which the first one makes. Blocks stop them both ways;
 * a platform admin has no way in.
 */
import type { CommandInput } from "../protocol/commands.ts";
import { ChatError, invalidField } from "../protocol/errors.ts";
import type { RoomId, UserId } from "../protocol/ids.ts";
import { asJson, jsonArray, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import { type ConversationRow, findDirectRoom, listConversations, pageOfRoom } from "../store/messages.ts";
import { directPair, readEpoch } from "../store/rooms.ts";
import { blockUser, listBlocked, unblockUser, userExists } from "../store/users.ts";
import type { Actor } from "./actor.ts";
import { readCursor, writeCursor } from "./cursors.ts";
import { type Messages, pageFields, toPageAsk } from "./messages.ts";
import type { Presence } from "./presence.ts";
import { refusal } from "./refusals.ts";
import type { RoomRules } from "./room_rules.ts";

export class DirectMessages {
  readonly #rules: RoomRules;
  readonly #messages: Messages;
  readonly #presence: Presence;

  constructor(uses: { rules: RoomRules; messages: Messages; presence: Presence }) {
    this.#rules = uses.rules;
    this.#presence = uses.presence;
    this.#messages = uses.messages;
  }

  async send(actor: Actor, ask: CommandInput<"send_direct_message">): Promise<JsonText> {
    const { recipientId, ...outgoing } = ask;
    const pair = directPair(actor.userId, recipientId);
    try {
      return await this.#messages.sendTo(actor, { is: "direct", pair }, outgoing);
    } catch (fault) {
      // the room is made for any two users there are: only an unknown one leaves none
      if (fault instanceof ChatError && fault.code === "not_found") throw noSuchUser("recipientId");
      throw fault;
    }
  }

  async list(actor: Actor, ask: CommandInput<"list_direct_messages">): Promise<JsonText> {
    const { db, near } = this.#rules;
    const { userId } = actor;
    const page = await near.read({
      ...{ userId, minSeq: ask.minSeq },
      query: async (from) => {
        const roomId = await findDirectRoom(from, directPair(userId, ask.userId).key);
        return roomId === undefined ? undefined : await pageOfRoom(from, roomId, userId, toPageAsk(ask));
      },
    });
    if (page !== undefined) return jsonObject({ roomId: toJson(page.roomId), ...pageFields(page) });
    if (!await userExists(db, ask.userId)) throw noSuchUser("userId");
    const empty = {
      epoch: await readEpoch(db),
      lastSeq: 0,
      oldestSeq: 1,
      messages: [],
      hasMoreBefore: false,
      hasMoreAfter: false,
    };
    return jsonObject({ roomId: toJson(null), ...pageFields(empty) });
  }

  async conversations(actor: Actor, ask: CommandInput<"list_conversations">): Promise<JsonText> {
    const [at, roomId] = ask.cursor === undefined ? [] : readCursor(ask.cursor, 2);
    const after = at === undefined || roomId === undefined ? undefined : { at, roomId: roomId as RoomId };
    if (after !== undefined && !isTimestamp(after.at)) {
      throw invalidField("cursor", "the nextCursor of the page before");
    }
    const rows = await listConversations(this.#rules.db, actor.userId, after, ask.limit + 1);
    const shown = rows.slice(0, ask.limit);
    const last = shown.at(-1);
    return jsonObject({
      conversations: jsonArray(shown.map(conversationJson)),
      nextCursor: toJson(
        rows.length > ask.limit && last !== undefined ? writeCursor([last.at, last.roomId]) : null,
      ),
    });
  }

  async block(actor: Actor, userId: UserId): Promise<JsonText> {
    if (userId === actor.userId) {
      throw new ChatError("invalid_request", "userId: you cannot block yourself", { field: "userId" });
    }
    const answer = await blockUser(
      this.#rules.db,
      actor.userId,
      userId,
      directPair(actor.userId, userId).key,
    );
    if (answer.code !== null) throw refusal(answer.code);
    await this.#presence.hide(actor, userId);
    return toJson({});
  }

  async unblock(actor: Actor, userId: UserId): Promise<JsonText> {
    if (await unblockUser(this.#rules.db, actor.userId, userId)) await this.#presence.hide(actor, userId);
    return toJson({});
  }

  async blocked(actor: Actor): Promise<JsonText> {
    return jsonObject({ users: jsonArray(await listBlocked(this.#rules.db, actor.userId)) });
  }
}

const noSuchUser = (field: string): ChatError =>
  new ChatError("not_found", `${field}: there is no such user`, { field });

function conversationJson(row: ConversationRow): JsonText {
  return jsonObject({
    roomId: toJson(row.roomId),
    user: asJson(row.user),
    lastMessage: asJson(row.lastMessage ?? "null"),
    unread: asJson(row.unread),
    position: toJson({ epoch: row.epoch, seq: row.lastSeq }),
  });
}

/** One that Postgres takes: JavaScript knows a 30th of February and a year 0, Postgres does not. */
function isTimestamp(text: string): boolean {
  const [, day, time] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d{1,6})?$/.exec(text) ?? [];
  if (day === undefined || day < "0001") return false;
  const at = new Date(`${day}T${time}Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString() === `${day}T${time}.000Z`;
}
