/** Read markers: how far each member has read. They only move forward; unread is derived from them, never counted up. */
import type { CommandInput } from "../protocol/commands.ts";
import type { RoomId } from "../protocol/ids.ts";
import { jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import type { WriteAnswer } from "../store/changes.ts";
import type { Actor } from "./actor.ts";
import type { RoomRules } from "./room_rules.ts";

interface MarkAnswer extends WriteAnswer {
  roomId: RoomId;
  lastReadSeq: number;
  lastReadAt: string | null;
  lastSeq: number;
  unread: number;
}

export class ReadMarkers {
  readonly #rules: RoomRules;

  constructor(uses: { rules: RoomRules }) {
    this.#rules = uses.rules;
  }

  async mark(actor: Actor, ask: CommandInput<"mark_as_read">): Promise<JsonText> {
    const { answer } = await this.#rules.write<MarkAnswer>(actor, "mark_read_v1", {
      ...ask,
      userId: actor.userId,
    });
    return jsonObject({
      roomId: toJson(answer.roomId),
      readMarker: toJson({
        userId: actor.userId,
        lastReadSeq: answer.lastReadSeq,
        lastReadAt: answer.lastReadAt,
      }),
      unread: toJson({ count: answer.unread, seq: answer.lastSeq }),
    });
  }
}
