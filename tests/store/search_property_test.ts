/**
 * Search against a naive model: whatever is said, edited, deleted, left, banned and blocked, in whatever language, each
 * way of matching finds exactly what a walk over all messages finds, page by page, once each. Accents, width and odd
 * characters are for search_text_test.ts; here words are plain.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Actor } from "../../src/chat/actor.ts";
import { parseInput } from "../../src/chat/commands.ts";
import { RoomRules } from "../../src/chat/room_rules.ts";
import { Search } from "../../src/chat/search.ts";
import { commands } from "../../src/protocol/commands.ts";
import type { RoomId, UserId } from "../../src/protocol/ids.ts";
import { callWrite, directPair } from "../../src/store/rooms.ts";
import { blockUser } from "../../src/store/users.ts";
import { draftOf, idOf, send, TestStore, toRoom, toUser } from "./fixture.ts";

const WORDS = [
  "python",
  "pyhton",
  "pythons",
  "typhoon",
  "server",
  "serve",
  "sever",
  "don't",
  "привет",
  "приветы",
  "a1",
];
const SIGNS = ["图书馆", "图书", "书馆", "图收馆", "東京タワー", "タワー", "학교에서", "학교", "학교애"];
const NAMES = ["ada", "ben", "cid", "dan"];
const ROOMS = 3;

const content = fc.array(fc.constantFrom(...WORDS, ...SIGNS), { minLength: 1, maxLength: 5 })
  .chain((parts) => fc.constantFrom(" ", ", ", "。").map((blank) => parts.join(blank)));
const number = fc.nat({ max: 1_000 });
const op = fc.record({
  does: fc.constantFrom(
    "say",
    "say",
    "say",
    "say",
    "say",
    "direct",
    "edit",
    "delete",
    "leave",
    "ban",
    "block",
    "close",
  ),
  who: number,
  other: number,
  room: number,
  content,
});
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

interface Said {
  id: string;
  room: number | undefined;
  sender: number;
  content: string;
}

/** What search should know, kept beside it. */
class World {
  readonly members = Array.from({ length: ROOMS }, () => new Set(NAMES.keys()));
  readonly blocked = new Set<string>();
  readonly closed = new Set<number>();
  said: Said[] = [];

  visible(reader: number): Said[] {
    return this.said.filter(({ room, sender }) =>
      room !== undefined && this.members[room]?.has(reader) === true && !this.closed.has(room) &&
      !this.blocked.has(`${reader} ${sender}`)
    );
  }
}

async function play(store: TestStore, users: UserId[], rooms: RoomId[], ops: readonly Op[]): Promise<World> {
  const world = new World();
  const user = (index: number): UserId => users[index] as UserId;
  const { db } = store.node;
  const write = async (name: Parameters<typeof callWrite>[1], params: object): Promise<void> =>
    strictEqual((await callWrite(db, name, params)).code, null, name);
  for (const [i, { does, ...op }] of ops.entries()) {
    const [who, other, room] = [op.who % NAMES.length, op.other % NAMES.length, op.room % ROOMS];
    const roomId = rooms[room] as RoomId;
    const isIn = world.members[room]?.has(who) === true && !world.closed.has(room);
    const mine = world.said.filter((said) => said.sender === who && said.room === room && isIn);
    const one = mine[op.other % Math.max(1, mine.length)];
    if (does === "say" && isIn) {
      const outcome = await send(
        store.node,
        draftOf(toRoom(roomId), user(who), `m${i}`, { content: op.content }),
      );
      world.said.push({ id: idOf(outcome), room, sender: who, content: op.content });
    } else if (
      does === "direct" && who !== other && !world.blocked.has(`${who} ${other}`) &&
      !world.blocked.has(`${other} ${who}`)
    ) {
      await send(
        store.node,
        draftOf(toUser(user(who), user(other)), user(who), `d${i}`, { content: op.content }),
      );
    } else if (does === "edit" && one !== undefined) {
      await write("edit_message_v1", { messageId: one.id, actorId: user(who), content: op.content });
      one.content = op.content;
    } else if (does === "delete" && one !== undefined) {
      await write("delete_message_v1", { messageId: one.id, actorId: user(who), isAdmin: false, minRank: 2 });
      world.said = world.said.filter((said) => said !== one);
    } else if (does === "leave" && isIn && who > 0) {
      await write("leave_room_v1", { roomId, userId: user(who) });
      world.members[room]?.delete(who);
    } else if (does === "ban" && isIn && who > 0) {
      const minRanks = { role: 3, mute: 2, ban: 2 };
      await write("update_member_v1", {
        roomId,
        actorId: user(0),
        userId: user(who),
        isAdmin: false,
        patch: { isBlocked: true },
        minRanks,
      });
      world.members[room]?.delete(who);
    } else if (does === "block" && who !== other) {
      strictEqual(
        (await blockUser(db, user(who), user(other), directPair(user(who), user(other)).key)).code,
        null,
      );
      world.blocked.add(`${who} ${other}`);
    } else if (does === "close" && op.other % 8 === 0 && !world.closed.has(room)) {
      await write("delete_room_v1", { roomId, actorId: user(0), isAdmin: false, minRank: 4 });
      world.closed.add(room);
    }
  }
  return world;
}

/** One edit away, by the recursion of the definition. */
function isNear(one: string, other: string, left = 1): boolean {
  if (one === other) return true;
  if (left === 0) return false;
  let same = 0;
  while (one[same] !== undefined && one[same] === other[same]) same++;
  const [a, b] = [one.slice(same), other.slice(same)];
  return isNear(a.slice(1), b.slice(1), left - 1) || isNear(a.slice(1), b, left - 1) ||
    isNear(a, b.slice(1), left - 1) ||
    (a.length > 1 && a[0] === b[1] && a[1] === b[0] && isNear(a.slice(2), b.slice(2), left - 1));
}

const wordsIn = (text: string): string[] =>
  text.match(/[a-z0-9]+|[а-я]+|[\u3041-\u9fff\uac00-\ud7a3]+/gu) ?? [];
const isSigns = (word: string): boolean => word > "\u3000";

const MODELS: Readonly<Record<string, (content: string, query: string) => boolean>> = {
  words: (content, query) =>
    query.split(" ").every((term) =>
      isSigns(term)
        ? wordsIn(content).some((run) => run.includes(term))
        : ` ${wordsIn(content).join(" ")} `.includes(` ${wordsIn(term).join(" ")} `)
    ),
  substring: (content, query) => content.includes(query),
  similar: (content, query) =>
    query.split(" ").flatMap(wordsIn).every((word) =>
      wordsIn(content).some((said) =>
        said === word || (word.length > 4 && !/\d/.test(word) && isNear(word, said))
      )
    ),
};

const plain = fc.constantFrom(...WORDS);
const signs = fc.constantFrom(...SIGNS);
const QUERIES: Readonly<Record<string, fc.Arbitrary<string>>> = {
  words: fc.array(fc.oneof(plain, signs), { minLength: 1, maxLength: 3 }).map((words) => words.join(" ")),
  substring: fc.oneof(
    signs.map((run) => run.slice(0, 2)),
    plain.filter((word) => /[a-zа-я]{4}/.test(word)).map((word) => word.slice(1, 5)),
    fc.constantFrom("python, p", "ver se", "r, sever", "馆 图", "привет p", "don't", "n, 图", "タワー。"),
  ),
  similar: fc.oneof(
    plain,
    fc.constantFrom("pythn", "servr", "srever", "прибет", "pythonss", "pyton typhon", "seerver don't"),
  ),
};

Deno.test("search finds what a walk over all messages finds, page by page", async () => {
  await using store = await TestStore.open();
  const rules = new RoomRules({ db: store.node.db } as unknown as ConstructorParameters<typeof RoomRules>[0]);
  const search = new Search({ rules });
  const ask = async (
    userId: UserId,
    input: object,
  ): Promise<{ messages: Said[]; nextCursor: string | null }> =>
    JSON.parse(await search.search({ userId } as Actor, parseInput(commands.search_messages.input, input)));
  let run = 0;
  const asks = fc.array(
    fc.constantFrom(...Object.keys(QUERIES)).chain((match) =>
      fc.record({
        match: fc.constant(match),
        query: QUERIES[match] ?? plain,
        reader: fc.nat({ max: NAMES.length - 1 }),
      })
    ),
    { minLength: 12, maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 10, maxLength: 60 }), asks, async (ops, asks) => {
      const users = await store.users(...NAMES.map((name) => `${name} ${run}`));
      run++;
      const rooms: RoomId[] = [];
      for (let i = 0; i < ROOMS; i++) rooms.push(await store.room(users));
      const world = await play(store, users, rooms, ops);
      for (const { match, query, reader } of asks) {
        const wanted = world.visible(reader).filter(({ content }) => MODELS[match]?.(content, query)).map((
          { id },
        ) => id);
        const userId = users[reader] as UserId;
        const whole = (await ask(userId, { query, match, limit: 100 })).messages.map(({ id }) => id);
        deepStrictEqual(whole.toSorted(), wanted.toSorted(), `${match}: ${query}`);
        for (const [order, inOrder] of [["newest", wanted.toReversed()], ["relevance", whole]] as const) {
          const paged: string[] = [];
          let cursor: string | null = null;
          do {
            const page = await ask(userId, {
              query,
              match,
              order,
              limit: 3,
              ...cursor === null ? {} : { cursor },
            });
            paged.push(...page.messages.map(({ id }) => id));
            cursor = page.nextCursor;
          } while (cursor !== null);
          deepStrictEqual(paged, inOrder, `${order}, ${match}: ${query}`);
        }
      }
    }),
    { numRuns: 25, seed: 5 },
  );
});
