/** Listening: join_room and leave_room, which on a socket are about hearing a room, and on REST about membership. */
import { type CatchUp, readCatchUp } from "../delivery/catch_up.ts";
import type { CommandInput } from "../protocol/commands.ts";
import { ChatError } from "../protocol/errors.ts";
import type { RoomId } from "../protocol/ids.ts";
import { type JsonText, toJson } from "../protocol/json_text.ts";
import { ROOMS_HEARD_MAX } from "../protocol/limits.ts";
import type { Position } from "../protocol/models.ts";
import type { Actor, Call } from "./actor.ts";
import type { Hearing } from "./hearing.ts";
import type { Memberships } from "./memberships.ts";
import type { RoomRules } from "./room_rules.ts";

export class Listening {
  readonly #rules: RoomRules;
  readonly #memberships: Memberships;
  readonly #hearing: Hearing;

  constructor(uses: { rules: RoomRules; memberships: Memberships; hearing: Hearing }) {
    this.#rules = uses.rules;
    this.#memberships = uses.memberships;
    this.#hearing = uses.hearing;
  }

  /** REST: become a member. A socket: also hear the room, joining first only if that is needed. */
  async join(call: Call, ask: CommandInput<"join_room">): Promise<JsonText> {
    const { actor, connection } = call;
    const { roomId, since } = ask;
    if (connection === undefined) {
      await this.#memberships.join(actor, roomId);
      return (await this.#read(actor, roomId, since)).json;
    }
    if (!this.#hearing.hasPlace(connection, roomId)) {
      throw new ChatError("conflict", `roomId: a connection hears at most ${ROOMS_HEARD_MAX} rooms`, {
        field: "roomId",
      });
    }
    const heard = await this.#hearing.begin(connection, roomId, async () => {
      const found = await readCatchUp(this.#rules.db, { roomId, userId: actor.userId, since });
      if (found !== undefined) return found;
      await this.#memberships.join(actor, roomId);
      return await this.#read(actor, roomId, since);
    });
    call.afterAnswer(() => {
      if (!call.acked) connection.tell("room_joined", heard.catchUp.json);
      heard.goLive();
    });
    return heard.catchUp.json;
  }

  async leave(call: Call, ask: CommandInput<"leave_room">): Promise<JsonText> {
    const { actor, connection } = call;
    const answer = toJson({ roomId: ask.roomId });
    if (connection === undefined || ask.membership === true) {
      // the stream ends the subscription when it passes the change, so that user_left is still heard
      await this.#memberships.leave(actor, ask.roomId);
    } else {
      this.#hearing.stop(connection, ask.roomId);
    }
    if (!call.acked) connection?.tell("room_left", answer);
    return answer;
  }

  async #read(actor: Actor, roomId: RoomId, since: Position | undefined): Promise<CatchUp> {
    const found = await readCatchUp(this.#rules.db, { roomId, userId: actor.userId, since });
    if (found === undefined) throw await this.#rules.refuse(actor, "not_member", roomId);
    return found;
  }
}
