/**
 * Search: from a command to what may be found and a page of it. Pages by relevance: matches are ranked within a window
 * of the newest ones, whose two ends the cursor carries along, so that what is sent meanwhile moves nothing; after
 * the last of a window comes the next, older one. What a query means: search_query.ts.
 */
import type { CommandInput } from "../protocol/commands.ts";
import { type ChatError, invalidField } from "../protocol/errors.ts";
import { isUuid, type MessageId } from "../protocol/ids.ts";
import { jsonArray, jsonObject, type JsonText, toJson } from "../protocol/json_text.ts";
import { PAGE_BYTES_MAX } from "../protocol/limits.ts";
import type { Message } from "../protocol/models.ts";
import { fitting } from "../store/messages.ts";
import { type SearchAsk, type SearchFound, searchMessages, type SearchPlace } from "../store/search.ts";
import type { Actor } from "./actor.ts";
import { readCursor, writeCursor } from "./cursors.ts";
import type { RoomRules } from "./room_rules.ts";
import { highlightsOf } from "./search_highlights.ts";
import { readQuery } from "./search_query.ts";

/** A frequent word is not ranked in all that was ever said; parts of words cost more to look for. */
const WINDOW = { words: 1_000, share: 200 } as const;

type Ask = CommandInput<"search_messages">;
type Place = Pick<SearchAsk, "from" | "beyond" | "below">;

export class Search {
  readonly #rules: RoomRules;

  constructor(uses: { rules: RoomRules }) {
    this.#rules = uses.rules;
  }

  async search(actor: Actor, ask: Ask): Promise<JsonText> {
    const query = readQuery(ask.query, ask.match);
    const byRank = ask.order === "relevance";
    const place = ask.cursor === undefined ? {} : readPlace(ask.cursor, byRank);
    const found = await searchMessages(this.#rules.db, {
      ...query.ask,
      userId: actor.userId,
      rankBy: byRank ? query.ask.rankBy : "none",
      window: byRank ? WINDOW[query.ask.rankBy] : ask.limit,
      limit: byRank ? ask.limit + 1 : ask.limit,
      roomId: ask.roomId,
      senderId: ask.senderId,
      type: ask.type,
      hasAttachment: ask.hasAttachment,
      after: toMicroseconds(ask.after),
      before: toMicroseconds(ask.before),
      ...place,
    });
    if (found === undefined) throw await this.#rules.refuse(actor, "not_member", ask.roomId);
    const shown = fitting(found.rows.slice(0, ask.limit), PAGE_BYTES_MAX);
    const highlights = shown.map(({ id, json }) =>
      [id, highlightsOf((JSON.parse(json) as Message).content, query.shown)] as const
    );
    const next = byRank ? afterRanked(found, shown.length, place) : afterNewest(found, shown.length);
    return jsonObject({
      messages: jsonArray(shown.map(({ json }) => json)),
      highlights: toJson(Object.fromEntries(highlights)),
      nextCursor: toJson(next === undefined ? null : writeCursor(next)),
      excluded: toJson({ directRooms: found.directRooms }),
    });
  }
}

const toMicroseconds = (time: string | undefined): string | undefined =>
  time === undefined ? undefined : `${Date.parse(time)}000`;

function afterNewest(found: SearchFound, shown: number): string[] | undefined {
  const next = found.rows[shown] ?? found.next;
  return next === undefined ? undefined : [next.at, next.id];
}

/** Of this window, or where the next one begins. */
function afterRanked(found: SearchFound, shown: number, place: Place): string[] | undefined {
  const last = found.rows[shown - 1];
  const from = place.below === undefined ? found.from : place.from;
  const beyond = place.beyond ?? found.next;
  if (found.rows.length > shown && last !== undefined && from !== undefined) {
    return [from.at, from.id, beyond?.at ?? "", beyond?.id ?? "", last.rank, last.at, last.id];
  }
  return beyond === undefined ? undefined : [beyond.at, beyond.id, "", "", "", "", ""];
}

/** Where the next page begins: a place in time; by rank, the window's two ends and a place in it too. */
function readPlace(cursor: string, byRank: boolean): Place {
  const [at = "", id = "", ...inWindow] = readCursor(cursor, byRank ? 7 : 2, false);
  const from = toPlace(at, id);
  if (inWindow.every((part) => part === "")) return { from };
  const [beyondAt = "", beyondId = "", rank = "", belowAt = "", belowId = ""] = inWindow;
  if (!RANK.test(rank)) throw notACursor();
  const below = { ...toPlace(belowAt, belowId), rank };
  return beyondId === "" ? { from, below } : { from, beyond: toPlace(beyondAt, beyondId), below };
}

const MICROSECONDS = /^\d{1,16}$/;
const RANK = /^\d{1,4}(\.\d{1,20})?(e-?\d{1,2})?$/;

function toPlace(at: string, id: string): SearchPlace {
  if (!MICROSECONDS.test(at) || !isUuid(id)) throw notACursor();
  return { at, id: id as MessageId };
}

const notACursor = (): ChatError => invalidField("cursor", "the nextCursor of the page before");
