/**
 * Search at every door: what each way of matching finds, how it is shown and paged, and what is never found. Against a
 * naive model: tests/store/search_property_test.ts; by which indexes: search_plans_test.ts.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { codeOf, type DoorClient, type Json, refusalOf } from "../helpers/doors.ts";
import { connect } from "../store/fixture.ts";
import { atEveryDoor, makeRoom, people, readPages, signedIn } from "../suites/door_suite.ts";
import { SEARCH_LANGUAGES } from "../suites/search_languages.ts";

const say = async (client: DoorClient, roomId: string, content: string): Promise<Json> =>
  (await client.call("send_message", { roomId, content })).message;

const found = async (client: DoorClient, input: Json): Promise<string[]> =>
  (await client.call("search_messages", input)).messages.map(({ content }: Json) => content);

/** What is marked of each message, message by message. */
async function marked(client: DoorClient, input: Json): Promise<string[][]> {
  const { messages, highlights } = await client.call("search_messages", input);
  deepStrictEqual(Object.keys(highlights).sort(), messages.map(({ id }: Json) => id).sort());
  return messages.map(({ id, content }: Json) =>
    highlights[id].map(({ start, end }: Json) => content.slice(start, end))
  );
}

atEveryDoor(
  "search_messages finds words, phrases and alternatives, without what is not wanted",
  async (door) => {
    const [ada, bob, eve] = await people(door, "ada", "bob", "eve");
    const [roomId, otherId] = [await makeRoom(ada, ["bob"]), await makeRoom(ada)];
    const said: Json[] = [];
    for (let i = 0; i < 7; i++) said.push(await say(i % 2 === 0 ? ada : bob, roomId, `logos number ${i}`));
    const other = await say(ada, otherId, "logos elsewhere today");
    const newest = said.map(({ content }) => content).toReversed();
    const pages = await readPages(ada, "search_messages", "messages", { query: "logos", order: "newest" }, 3);
    deepStrictEqual(pages.map((page) => page.map(({ content }: Json) => content)), [
      [other.content, ...newest.slice(0, 2)],
      newest.slice(2, 5),
      newest.slice(5),
    ]);
    deepStrictEqual(pages[0]?.[1], said[6], "the message as it is everywhere");
    deepStrictEqual(await found(bob, { query: "LOGOS" }), newest);
    deepStrictEqual(await found(eve, { query: "logos" }), []);
    deepStrictEqual(await found(ada, { query: "logos", roomId }), newest);
    deepStrictEqual(await found(ada, { query: '"number 3"' }), [newest[3]]);
    deepStrictEqual(await found(ada, { query: '"3 number"' }), []);
    deepStrictEqual(await found(ada, { query: "3 number" }), [newest[3]]);
    deepStrictEqual(await found(ada, { query: "logos -number" }), [other.content]);
    deepStrictEqual(await found(ada, { query: 'logos -"number 6" -elsewhere' }), newest.slice(1));
    deepStrictEqual(await found(ada, { query: "elsewhere OR 3", order: "newest" }), [
      other.content,
      newest[3],
    ]);
    for (const query of ["logo", "ogos", "' or true --", "logos AND number", "a:*", "logos & !number"]) {
      deepStrictEqual(await found(ada, { query: `${query} nowhere` }), [], query);
    }
    deepStrictEqual(await found(ada, { query: '"number 3' }), [newest[3]], "a phrase without its end");
    strictEqual(await codeOf(bob.call("search_messages", { query: "logos", roomId: otherId })), "forbidden");
    deepStrictEqual(await marked(ada, { query: '"logos elsewhere" or "number 6"' }), [["logos elsewhere"], [
      "number 6",
    ]]);
  },
);

atEveryDoor("search_messages matches any language, parts of words, typing errors", async (door) => {
  const [ada] = await people(door, "ada");
  const rooms = new Map<string, string>();
  for (const [content, match, query, marks] of SEARCH_LANGUAGES) {
    const roomId = rooms.get(content) ?? await makeRoom(ada);
    if (!rooms.has(content)) await say(ada, roomId, content);
    rooms.set(content, roomId);
    const wanted = marks === undefined ? [] : [marks];
    deepStrictEqual(await marked(ada, { query, match, roomId }), wanted, `${match} ${query}: ${content}`);
  }
});

atEveryDoor("search_messages refuses what would find nothing or all, by field", async (door) => {
  const [ada] = await people(door, "ada");
  await say(ada, await makeRoom(ada), "something");
  const refused: Json[] = [
    ...["???", "-something", "-a -b", "or", "something or -b", "%%", '""'].map((query) => ({ query })),
    ...["ab", "a b c", "...", "é!", "a  b"].map((query) => ({ query, match: "substring" })),
    ...["???", `${"long ".repeat(14)}`, "x".repeat(65)].map((query) => ({ query, match: "similar" })),
    ...["", "x".repeat(201), " \t "].map((query) => ({ query })),
  ];
  for (const ask of refused) {
    const { code, body } = await refusalOf(ada.call("search_messages", ask));
    deepStrictEqual([code, body.details.field], ["invalid_request", "query"], JSON.stringify(ask));
  }
  const fields: Json = {
    before: ["yesterday", "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00"],
    after: ["", "now"],
    match: ["like"],
    order: ["oldest"],
    type: ["SYSTEM"],
    hasAttachment: ["maybe"],
    cursor: ["x"],
  };
  for (const [field, values] of Object.entries(fields)) {
    for (const value of values as string[]) {
      const { code, body } = await refusalOf(
        ada.call("search_messages", { query: "some", [field]: value }),
      );
      deepStrictEqual([code, body.details.field], ["invalid_request", field], `${field}=${value}`);
    }
  }
});

atEveryDoor("search_messages filters by room, sender, time, type and attachments", async (door, doors) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const o = await signedIn(door, "o'b\\rien @/#");
  const [one, two] = [await makeRoom(ada, ["bob", o.userId]), await makeRoom(ada, ["bob"])];
  const first = await say(ada, one, "apple one");
  await say(bob, one, "apple two");
  await say(o, one, "apple three");
  await ada.call("send_message", { roomId: two, content: "apple four", type: "IMAGE" });
  await using stack = new AsyncDisposableStack();
  const sql = connect(doors.app.database.url, 1);
  stack.defer(() => sql.end());
  await sql`update messages set attachments = '[{"id":"01890a5d-ac96-774b-bcce-b302099a8057","name":"a.png",
      "mimeType":"image/png","kind":"image","size":1,"state":"clean","durationMs":null,"waveform":null}]'
    where content = 'apple four'`;
  const last = await say(bob, two, "apple five");
  const apples = async (input: Json): Promise<string> =>
    (await found(ada, { query: "apple", order: "newest", ...input })).map((text) => text.slice(6)).join(" ");
  const all = "five four three two one";
  strictEqual(await apples({}), all);
  strictEqual(await apples({ roomId: one }), "three two one");
  strictEqual(await apples({ senderId: "bob" }), "five two");
  strictEqual(await apples({ senderId: "bob", roomId: one }), "two");
  strictEqual(await apples({ senderId: o.userId }), "three");
  strictEqual(await apples({ senderId: "eve" }), "");
  strictEqual(await apples({ type: "IMAGE" }), "four");
  strictEqual(await apples({ type: "TEXT" }), "five three two one");
  strictEqual(await apples({ hasAttachment: true }), "four");
  strictEqual(await apples({ hasAttachment: false }), "five three two one");
  strictEqual(await apples({ before: first.createdAt }), "");
  strictEqual(await apples({ after: first.createdAt }), all);
  strictEqual(await apples({ after: "0001-01-01T00:00:00Z", before: "9999-12-31T23:59:59+02:00" }), all);
  ok(!(await apples({ before: last.createdAt })).includes("five"));
  strictEqual(await apples({ query: "ppl", match: "substring", senderId: "bob", roomId: two }), "five");
  strictEqual(await apples({ query: "aple", match: "similar" }), "", "too short to be mistyped");
  strictEqual(await apples({ query: "aplpe", match: "similar", roomId: one, type: "TEXT" }), "three two one");
});

atEveryDoor(
  "search_messages never finds what is deleted, direct, left, blocked or before an edit",
  async (door) => {
    const [ada, bob, eve] = await people(door, "ada", "bob", "eve");
    const roomId = await makeRoom(ada, ["bob", "eve"]);
    const asks: Json[] = [
      { query: "secret" },
      { query: "ecre", match: "substring" },
      { query: "secrte", match: "similar" },
    ].flatMap((ask) => [ask, { ...ask, order: "newest" }, { ...ask, roomId }]);
    const counts = (client: DoorClient): Promise<number[]> =>
      Promise.all(asks.map(async (ask) => (await found(client, ask)).length));
    const expectAll = async (client: DoorClient, count: number, why: string): Promise<void> =>
      deepStrictEqual(await counts(client), asks.map(() => count), why);

    const direct =
      (await ada.call("send_direct_message", { recipientId: "bob", content: "a secret" })).message;
    const message = await say(ada, roomId, "a secret plan");
    await expectAll(bob, 1, "said");
    const { messages, excluded } = await bob.call("search_messages", { query: "secret" });
    deepStrictEqual([messages.length, excluded], [1, { directRooms: 1 }]);
    deepStrictEqual((await eve.call("search_messages", { query: "secret" })).excluded, { directRooms: 0 });
    deepStrictEqual(await bob.call("search_messages", { query: "secret", roomId: direct.roomId }), {
      messages: [],
      highlights: {},
      nextCursor: null,
      excluded: { directRooms: 1 },
    });
    deepStrictEqual((await bob.call("search_messages", { query: "secret", roomId })).excluded, {
      directRooms: 0,
    });

    await ada.call("update_message", { messageId: message.id, content: "an open plan" });
    await expectAll(bob, 0, "edited");
    deepStrictEqual(await found(bob, { query: "open" }), ["an open plan"]);
    await ada.call("update_message", { messageId: message.id, content: "a secret again" });
    await expectAll(bob, 1, "edited back");

    await bob.call("block_user", { userId: "ada" });
    await expectAll(bob, 0, "the sender is blocked");
    await expectAll(eve, 1, "only who blocked does not find");
    await bob.call("unblock_user", { userId: "ada" });
    await expectAll(bob, 1, "not blocked any more");

    await ada.call("delete_message", { messageId: message.id });
    await expectAll(bob, 0, "deleted");
    await say(ada, roomId, "another secret");
    await expectAll(bob, 1, "said again");
    await bob.call("leave_room", { roomId, membership: true });
    deepStrictEqual(await found(bob, { query: "secret" }), []);
    strictEqual(await codeOf(bob.call("search_messages", { query: "secret", roomId })), "forbidden");
    await ada.call("update_member", { roomId, userId: "eve", isBlocked: true });
    deepStrictEqual(await found(eve, { query: "secret" }), []);
    strictEqual(await codeOf(eve.call("search_messages", { query: "secret", roomId })), "banned");
    await ada.call("delete_room", { roomId });
    deepStrictEqual(await found(ada, { query: "secret" }), []);
    strictEqual(await codeOf(ada.call("search_messages", { query: "secret", roomId })), "not_found");
  },
);

atEveryDoor("search_messages passes over rooms whose membership was ended by others", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const tina = await signedIn(door, "tina", { role: "teacher", courses: ["greek"] });
  const banned = await makeRoom(ada, ["bob"]);
  const course = await makeRoom(tina, [], { type: "COURSE", courseId: "greek" });
  const pupil = await signedIn(door, "pupil", { courses: ["greek"], issuedAt: 1_000 });
  await pupil.call("join_room", { roomId: course });
  await ada.call("send_message", { roomId: banned, content: "arche" });
  await tina.call("send_message", { roomId: course, content: "arche" });
  const count = async (client: DoorClient): Promise<number> =>
    (await client.call("search_messages", { query: "arche" })).messages.length;
  deepStrictEqual([await count(bob), await count(pupil)], [1, 1]);
  await ada.call("update_member", { roomId: banned, userId: "bob", isBlocked: true });
  const without = await signedIn(door, "pupil", { courses: [], issuedAt: 2_000 });
  deepStrictEqual([await count(bob), await count(without)], [0, 0]);
  ok(await count(tina) === 1);
});

atEveryDoor("what search_messages finds can be shown in its place by list_messages", async (door) => {
  const [ada] = await people(door, "ada");
  const roomId = await makeRoom(ada);
  for (let i = 0; i < 20; i++) await say(ada, roomId, i === 8 ? "the needle" : `straw ${i}`);
  const [needle] = (await ada.call("search_messages", { query: "needle" })).messages;
  const { messages } = await ada.call("list_messages", {
    roomId: needle.roomId,
    around: needle.seq,
    limit: 5,
  });
  deepStrictEqual(messages.map(({ content }: Json) => content), [
    "straw 6",
    "straw 7",
    "the needle",
    "straw 9",
    "straw 10",
  ]);
});

atEveryDoor(
  "search_messages by relevance: what says more of it comes first, the newer of equals",
  async (door) => {
    const [ada] = await people(door, "ada");
    const roomId = await makeRoom(ada);
    for (
      const content of [
        "tea",
        "there was once some tea in a large pot on the table beside the window of the kitchen",
        "tea tea tea",
        "milk and no sugar, but tea",
        "tea and milk",
        "milky tea",
      ]
    ) await say(ada, roomId, content);
    const tea = await found(ada, { query: "tea" });
    strictEqual(tea[0], "tea tea tea");
    ok(tea.indexOf("milky tea") < tea.indexOf("milk and no sugar, but tea"));
    ok(tea.at(-1)?.startsWith("there was once"));
    deepStrictEqual(await found(ada, { query: "milk tea" }), ["tea and milk", "milk and no sugar, but tea"]);
    deepStrictEqual(await found(ada, { query: "milk", match: "substring" }), [
      "milky tea",
      "tea and milk",
      "milk and no sugar, but tea",
    ]);
    await say(ada, roomId, "the kitten sleeps, the kitten dreams");
    deepStrictEqual((await found(ada, { query: "kitchen", match: "similar" }))[0]?.slice(0, 5), "there");
  },
);

atEveryDoor("search_messages by relevance pages through all, once each, while more is said", async (door) => {
  const [ada] = await people(door, "ada");
  const roomId = await makeRoom(ada);
  const said: string[] = [];
  for (let i = 0; i < 40; i++) {
    said.push((await say(ada, roomId, `word ${"word ".repeat(i % 3)}${"x ".repeat(i % 5)}${i}`)).id);
  }
  for (
    const ask of [{ query: "word" }, { query: "wor", match: "substring" }, { query: "word", order: "newest" }]
  ) {
    const whole = (await ada.call("search_messages", { ...ask, limit: 100 })).messages.map(({ id }: Json) =>
      id
    )
      .filter((id: string) => said.includes(id));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Json = await ada.call("search_messages", { ...ask, limit: 7, ...(cursor && { cursor }) });
      seen.push(...page.messages.map(({ id }: Json) => id));
      cursor = page.nextCursor;
      await say(ada, roomId, "word word word");
    } while (cursor !== null);
    deepStrictEqual(seen.filter((id) => said.includes(id)), whole, JSON.stringify(ask));
    strictEqual(new Set(seen).size, seen.length);
    strictEqual(whole.length, said.length);
  }
});
