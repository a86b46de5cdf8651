/** How long each question takes, first page and second: from the command's input to its answer, highlights included. */
import type { Actor } from "../../src/chat/actor.ts";
import { parseInput } from "../../src/chat/commands.ts";
import { RoomRules } from "../../src/chat/room_rules.ts";
import { Search } from "../../src/chat/search.ts";
import { commands } from "../../src/protocol/commands.ts";
import type { UserId } from "../../src/protocol/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { type Percentiles, percentilesOf } from "../replay/percentiles.ts";
import type { Kind } from "./questions.ts";

export interface Measured {
  name: string;
  first: Percentiles;
  second: Percentiles;
  /** Of the first pages: how many found anything, and the slowest. */
  found: number;
  slowest: string;
}

export async function measure(db: Database, caller: string, kinds: readonly Kind[]): Promise<Measured[]> {
  const rules = new RoomRules({ db } as unknown as ConstructorParameters<typeof RoomRules>[0]);
  const search = new Search({ rules });
  const actor = { userId: caller as UserId } as Actor;
  const once = async (
    ask: unknown,
  ): Promise<{ ms: number; answer: { messages: unknown[]; nextCursor: string | null } }> => {
    const began = performance.now();
    const answer = await search.search(actor, parseInput(commands.search_messages.input, ask)).catch(
      (fault) => {
        if (fault.code === "forbidden" || fault.code === "not_found") {
          return '{"messages":[],"nextCursor":null}';
        }
        throw fault;
      },
    );
    const ms = performance.now() - began;
    return { ms, answer: JSON.parse(answer) };
  };
  /** The faster of two: the machine may have other things to do. */
  const timed = async (ask: unknown): ReturnType<typeof once> => {
    const [one, two] = [await once(ask), await once(ask)];
    return one.ms < two.ms ? one : two;
  };
  const rows: Measured[] = [];
  for (const { name, asks } of kinds) {
    const first: number[] = [];
    const second: number[] = [];
    let found = 0;
    let slowest = "";
    for (const ask of asks) {
      const { ms, answer } = await timed(ask);
      if (ms > Math.max(0, ...first)) slowest = ask.query;
      first.push(ms);
      if (answer.messages.length > 0) found++;
      if (answer.nextCursor !== null) second.push((await timed({ ...ask, cursor: answer.nextCursor })).ms);
    }
    rows.push({ name, first: percentilesOf(first), second: percentilesOf(second), found, slowest });
  }
  return rows;
}
