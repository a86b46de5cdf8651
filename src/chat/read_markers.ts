/**
 * Read markers: how far each member has read. They only move forward; unread is derived from them, never counted up. Who
 * marks something as unread moves what is counted for them alone.
 */
import { EphemeralPush } from "../delivery/ephemeral.ts";
import type { Hub } from "../delivery/hub.ts";
import { inboxTopic, roomTopic, type Topic } from "../delivery/pushes.ts";
import type { CommandInput } from "../protocol/commands.ts";
import type { MessageId, RoomId, UserId } from "../protocol/ids.ts";
import { asJson, jsonArray, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import type { Unread } from "../protocol/models.ts";
import type { WriteAnswer } from "../store/changes.ts";
import { listReaders, listUnread } from "../store/read_markers.ts";
import type { Actor } from "./actor.ts";
import { readCursor, writeCursor } from "./cursors.ts";
import type { Receipts } from "./receipts.ts";
import { refusal } from "./refusals.ts";
import type { RoomRules } from "./room_rules.ts";

interface MarkAnswer extends WriteAnswer {
  roomId: RoomId;
  lastReadSeq: number;
  lastReadAt: string | null;
  /** The wire's Unread. */
  unread: string;
  /** Of a direct room. */
  low: UserId | null;
  high: UserId | null;
  /** Others may see it. */
  moved?: boolean;
}

export class ReadMarkers {
  readonly #rules: RoomRules;
  readonly #hub: Hub;
  readonly #receipts: Receipts;

  constructor(uses: { rules: RoomRules; hub: Hub; receipts: Receipts }) {
    this.#rules = uses.rules;
    this.#hub = uses.hub;
    this.#receipts = uses.receipts;
    this.#hub.onSignal(
      "unread",
      (topic, payload) => this.#hub.pushEphemeral(topic, new EphemeralPush("unread_updated", payload)),
    );
  }

  async mark(actor: Actor, ask: CommandInput<"mark_as_read">): Promise<JsonText> {
    const { answer } = await this.#rules.write<MarkAnswer>(actor, "mark_read_v1", {
      ...ask,
      userId: actor.userId,
    });
    if (answer.moved) this.#tellOthers(actor, ask.messageId, answer);
    return this.#answer(actor, answer);
  }

  async markUnread(actor: Actor, ask: CommandInput<"mark_as_unread">): Promise<JsonText> {
    const { answer } = await this.#rules.write<MarkAnswer>(actor, "mark_unread_v1", {
      ...ask,
      userId: actor.userId,
    });
    return this.#answer(actor, answer);
  }

  async readers(actor: Actor, ask: CommandInput<"list_readers">): Promise<JsonText> {
    const { messageId, limit, cursor } = ask;
    const after = cursor === undefined ? undefined : readCursor(cursor, 1, false)[0] as UserId;
    const rows = await listReaders(this.#rules.db, {
      messageId,
      userId: actor.userId,
      after,
      limit: limit + 1,
    });
    if (rows === undefined) throw refusal("not_found");
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return jsonObject({
      readers: jsonArray(shown.map(({ json }) => json)),
      nextCursor: toJson(rows.length > limit && last !== undefined ? writeCursor([last.userId]) : null),
    });
  }

  async counts(actor: Actor): Promise<JsonText> {
    const rooms = await listUnread(this.#rules.db, actor.userId);
    const total = { rooms: rooms.length, count: 0, mentions: 0 };
    for (const room of rooms) {
      const { count, mentions }: Unread = JSON.parse(room.unread);
      total.count += count;
      total.mentions += mentions;
    }
    const each = rooms.map(({ roomId, unread }) =>
      jsonObject({ roomId: toJson(roomId), unread: asJson(unread) })
    );
    return jsonObject({ total: toJson(total), rooms: jsonArray(each) });
  }

  #tellOthers(actor: Actor, messageId: MessageId, answer: MarkAnswer): void {
    const { roomId, lastReadSeq, lastReadAt, low, high } = answer;
    const topics: Topic[] = low === null || high === null
      ? [roomTopic(roomId)]
      : [...new Set([inboxTopic(low), inboxTopic(high)])];
    const { userId, name, avatarUrl } = actor;
    this.#receipts.note(topics, roomId, {
      ...{ userId, user: { id: userId, name, avatarUrl }, messageId, lastReadSeq },
      lastReadAt: lastReadAt ?? new Date().toISOString(),
    });
  }

  /** The user's own devices hear of it too, whatever they hear else. */
  #answer(actor: Actor, answer: MarkAnswer): JsonText {
    const [roomId, unread] = [toJson(answer.roomId), asJson(answer.unread)];
    const { lastReadSeq, lastReadAt } = answer;
    this.#rules.near.noteMark(actor.userId, answer.roomId);
    const topic = inboxTopic(actor.userId);
    const payload = jsonObject({ roomId, unread });
    this.#hub.pushEphemeral(topic, new EphemeralPush("unread_updated", payload));
    this.#hub.signal(topic, { kind: "unread", payload });
    return jsonObject({
      roomId,
      readMarker: toJson({ userId: actor.userId, lastReadSeq, lastReadAt }),
      unread,
    });
  }
}
