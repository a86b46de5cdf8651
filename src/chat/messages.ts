/**
 * Messages: sent once however often they are tried, edited by who wrote them, deleted to a tombstone, paged.
 * Direct ones go the same way: direct_messages.ts only names their room.
 */
import type { Hub } from "../delivery/hub.ts";
import type { CommandInput } from "../protocol/commands.ts";
import { invalidField } from "../protocol/errors.ts";
import { newMessageId } from "../protocol/ids.ts";
import { asJson, jsonArray, jsonObject, type JsonText, toJson, withFields } from "../protocol/json_text.ts";
import { codePoints } from "../protocol/schemas.ts";
import type { Appended, Appender, Draft } from "../store/appender.ts";
import type { MessageChange, WriteAnswer } from "../store/changes.ts";
import { type Page, type PageAsk, pageOfRoom } from "../store/messages.ts";
import type { Actor } from "./actor.ts";
import { rankFor } from "./permissions.ts";
import type { RoomRules } from "./room_rules.ts";
import type { Typing } from "./typing.ts";

type Outgoing = Omit<CommandInput<"send_message">, "roomId">;

export class Messages {
  readonly #rules: RoomRules;
  readonly #appender: Appender;
  readonly #hub: Hub;
  readonly #typing: Typing;
  readonly #maxLength: number;

  constructor(uses: { rules: RoomRules; appender: Appender; hub: Hub; typing: Typing; maxLength: number }) {
    this.#rules = uses.rules;
    this.#appender = uses.appender;
    this.#hub = uses.hub;
    this.#typing = uses.typing;
    this.#maxLength = uses.maxLength;
  }

  send(actor: Actor, ask: CommandInput<"send_message">): Promise<JsonText> {
    return this.sendTo(actor, { is: "room", roomId: ask.roomId }, ask);
  }

  /** Nothing is awaited before the appender has the draft: what one socket sends in order is stored in order. */
  async sendTo(actor: Actor, target: Draft["target"], ask: Outgoing): Promise<JsonText> {
    this.#checkContent(ask.content, ask.attachmentIds !== undefined);
    const id = newMessageId();
    const { sent, abandon } = this.#appender.append({
      id,
      target,
      senderId: actor.userId,
      clientMessageId: ask.clientMessageId ?? id,
      content: ask.content,
      type: ask.type,
      attachmentIds: ask.attachmentIds,
      replyToId: ask.replyToId,
      mentions: ask.mentions,
    });
    const published = sent.then((appended) => {
      const outcome = withSender(appended, actor);
      this.#publish(actor, outcome); // also when whoever waited has given up: it is committed
      return outcome;
    });
    published.catch(() => {}); // told through the race below, or to nobody
    try {
      const outcome = await this.#rules.db.deadline(published, this.#rules.db.timeoutMs);
      if (outcome.code !== null) {
        throw await this.#rules.refuse(actor, outcome.code, target.is === "room" ? target.roomId : undefined);
      }
      return jsonObject({ message: asJson(outcome.message) });
    } finally {
      abandon();
    }
  }

  #publish(actor: Actor, outcome: Appended): void {
    if (outcome.code !== null || outcome.isRepeat) return;
    const { roomId, seq, message, direct } = outcome;
    const change: MessageChange = {
      kind: "message",
      roomId,
      seq,
      firstSeq: seq,
      ended: false,
      json: message,
      direct,
    };
    this.#hub.publish([change]);
    this.#typing.sent(actor, roomId);
  }

  async edit(actor: Actor, ask: CommandInput<"update_message">): Promise<JsonText> {
    this.#checkContent(ask.content);
    const { changes } = await this.#rules.write(actor, "edit_message_v1", { ...ask, actorId: actor.userId });
    const [change] = changes;
    if (change?.kind !== "message") throw new Error("An edit made no change");
    return jsonObject({ message: asJson(change.json) });
  }

  async delete(actor: Actor, ask: CommandInput<"delete_message">): Promise<JsonText> {
    const { answer, changes } = await this.#rules.write<WriteAnswer & { message?: string }>(
      actor,
      "delete_message_v1",
      {
        ...ask,
        actorId: actor.userId,
        isAdmin: actor.isAdmin,
        minRank: rankFor("delete_message_of_others"),
      },
    );
    const json = changes[0]?.json ?? answer.message;
    if (typeof json !== "string") throw new Error("A deletion answered no message");
    return jsonObject({ message: asJson(json) });
  }

  async list(actor: Actor, ask: CommandInput<"list_messages">): Promise<JsonText> {
    const { userId } = actor;
    const page = await this.#rules.near.read({
      ...{ userId, minSeq: ask.minSeq },
      query: (from) => pageOfRoom(from, ask.roomId, userId, toPageAsk(ask)),
    });
    if (page === undefined) throw await this.#rules.refuse(actor, "not_member", ask.roomId);
    return jsonObject(pageFields(page));
  }

  #checkContent(content: string, hasFiles = false): void {
    if (content.trim() === "" && !hasFiles) throw invalidField("content", "Expected some text");
    const length = codePoints(content);
    if (length > this.#maxLength) {
      throw invalidField("content", `Expected at most ${this.#maxLength} characters, not ${length}`);
    }
  }
}

/** As every other reader gets it from Postgres: looked up there for each row it would be a third of the cost of a send. */
function withSender(appended: Appended, { userId, name, avatarUrl }: Actor): Appended {
  if (appended.code !== null) return appended;
  const sender = toJson({ id: userId, name, avatarUrl });
  return { ...appended, message: withFields(appended.message, { sender }) };
}

export function toPageAsk(
  ask: {
    limit: number;
    before?: number | undefined;
    after?: number | undefined;
    around?: number | undefined;
  },
): PageAsk {
  const { limit } = ask;
  if (ask.before !== undefined) return { is: "before", seq: ask.before, limit };
  if (ask.after !== undefined) return { is: "after", seq: ask.after, limit };
  if (ask.around !== undefined) return { is: "around", seq: ask.around, limit };
  return { is: "newest", limit };
}

export function pageFields(page: Omit<Page, "roomId" | "inboxSeq">): Record<string, JsonText> {
  return {
    messages: jsonArray(page.messages),
    position: toJson({ epoch: page.epoch, seq: page.lastSeq }),
    oldestSeq: toJson(page.oldestSeq),
    hasMoreBefore: toJson(page.hasMoreBefore),
    hasMoreAfter: toJson(page.hasMoreAfter),
  };
}
