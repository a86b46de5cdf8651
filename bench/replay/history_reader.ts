/** Reads a room's whole history and the answers of search by REST, page by page, as a client would. */
import type { Message, Position } from "../../src/protocol/models.ts";
import { PAGE_LIMIT_MAX } from "../../src/protocol/limits.ts";
import type { Fault } from "./faults.ts";
import type { History } from "./hearing_check.ts";
import type { Rest } from "./rest.ts";

const SEARCH_PAGE = 20;
const PAGES_MAX = 10_000;

interface HistoryPage {
  messages: Message[];
  position: Position;
  hasMoreBefore: boolean;
  hasMoreAfter: boolean;
}

/** Forwards; then backwards, which must give the same. */
export async function readHistory(
  rest: Rest,
  roomId: string,
): Promise<{ history: History; faults: Fault[] }> {
  const faults: Fault[] = [];
  const forwards = await readPages(rest, roomId, "after", 0, faults);
  const backwards = await readPages(rest, roomId, "before", forwards.lastSeq + 1, faults);
  const there = forwards.messages.map((message) => message.id);
  const back = backwards.messages.map((message) => message.id);
  if (there.join() !== back.join()) {
    faults.push({
      kind: "history",
      text: `${there.length} messages forwards, and others, or ${back.length}, back`,
    });
  }
  return { history: forwards, faults };
}

async function readPages(
  rest: Rest,
  roomId: string,
  direction: "after" | "before",
  start: number,
  faults: Fault[],
): Promise<History> {
  const pages: Message[][] = [];
  let anchor = start;
  for (let count = 0; count < PAGES_MAX; count++) {
    const query = { [direction]: anchor, limit: PAGE_LIMIT_MAX };
    const page = await rest.get<HistoryPage>(`/rooms/${roomId}/messages`, query);
    pages.push(page.messages);
    const seqs = page.messages.map((message) => message.seq);
    const fits = seqs.every((seq, i) => {
      const earlier = seqs[i - 1];
      return (direction === "after" ? seq > anchor : seq < anchor) &&
        (earlier === undefined || seq > earlier);
    });
    const more = direction === "after" ? page.hasMoreAfter : page.hasMoreBefore;
    const next = direction === "after" ? seqs.at(-1) : seqs[0];
    if (!fits || (more && next === undefined)) {
      faults.push({ kind: "history", text: `the page ${direction} ${anchor} holds ${seqs.join(" ")}` });
    }
    if (!fits || !more || next === undefined) {
      const ordered = direction === "after" ? pages : pages.toReversed();
      return { messages: ordered.flat(), lastSeq: page.position.seq };
    }
    anchor = next;
  }
  throw new Error(`The history ${direction} ${start} has no end`);
}

/** All pages of a search. */
export async function readSearch(rest: Rest, roomId: string, query: string): Promise<Message[]> {
  const found: Message[] = [];
  let cursor: string | null = null;
  for (let count = 0; count < PAGES_MAX; count++) {
    const ask = { query, roomId, limit: SEARCH_PAGE, ...(cursor === null ? {} : { cursor }) };
    const page: { messages: Message[]; nextCursor: string | null } = await rest.get("/messages/search", ask);
    found.push(...page.messages);
    cursor = page.nextCursor;
    if (cursor === null) return found;
  }
  throw new Error(`The search for ${query} has no end`);
}
