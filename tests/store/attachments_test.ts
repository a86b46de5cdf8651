/**
 * append_messages_v2 and attachment_verdict_v1 against each other: sends, repeats, verdicts and deletions of the same files
 * from four nodes at once, in a room and in a direct room that is just being made.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type AttachmentId, newAttachmentId, type UserId } from "../../src/protocol/ids.ts";
import type { Draft } from "../../src/store/appender.ts";
import { beginUpload, finishUpload } from "../../src/store/attachments.ts";
import { writeVerdict } from "../../src/store/file_chores.ts";
import { draftOf, idOf, seeded, send, TestStore, toRoom, toUser } from "./fixture.ts";

const FILES = 24;

async function upload(store: TestStore, userId: UserId, target: Draft["target"]): Promise<AttachmentId> {
  const { db } = store.node;
  const id = newAttachmentId();
  const about = { name: "a.txt", mimeType: "text/plain", kind: "file" as const, facts: {} };
  const begun = await beginUpload(db, {
    id,
    key: `key-${id}`,
    userId,
    target,
    ...about,
    bytes: 9,
    quota: 1e9,
  });
  strictEqual(begun.code, null);
  const finished = { id, bytes: 1, sha256: id, durationMs: null, waveform: null, scanning: true };
  strictEqual((await finishUpload(db, finished)).attachment?.state, "pending");
  return id;
}

Deno.test("a file is sent once, and its message shows what became of it, whoever is first", async () => {
  await using store = await TestStore.open({ nodes: 4 });
  const [ada, ben] = await store.users("ada", "ben") as [UserId, UserId];
  const random = seeded(7);
  for (const target of [toRoom(await store.room([ada, ben])), toUser(ada, ben)]) {
    const files: AttachmentId[] = [];
    for (let i = 0; i < FILES; i++) files.push(await upload(store, ada, target));
    const drafts = files.flatMap((id, i) =>
      [0, 1, 2].map((n): Draft => ({ // a file in three messages, one of them tried again
        ...draftOf(target, ada, `${i}-${n % 2}`),
        attachmentIds: n === 2 ? [id] : [id, files[(i + n * 5) % FILES] as AttachmentId].slice(0, 1 + n),
      }))
    );
    const acts: (() => Promise<unknown>)[] = [
      ...drafts.map((draft, i) => () => send(store.nodes[i % 4]!, draft)),
      ...drafts.slice(0, 10).map((_, i) => () =>
        send(store.nodes[i % 4]!, draftOf(target, ben, `plain ${i}`))
      ),
      ...files.map((id, i) => () => {
        const word = i % 3 === 0
          ? { state: "infected" as const, finding: "Eicar" }
          : { state: "clean" as const };
        return writeVerdict(store.nodes[(i + 1) % 4]!.db, { id, ...word });
      }),
    ].map((act) => ({ act, at: random() })).sort((a, b) => a.at - b.at).map(({ act }) => act);
    await Promise.all(acts.map((act) => act()));
  }
  const shown = await store.sql<{ id: string; state: string; row: string; message: string; bound: string }[]>`
    select e->>'id' as id, e->>'state' as state, a.state as row, m.id as message, a.message_id as bound
    from messages m, jsonb_array_elements(m.attachments) e join attachments a on a.id = (e->>'id')::uuid`;
  ok(shown.length > FILES, `${shown.length} files sent`);
  strictEqual(new Set(shown.map(({ id }) => id)).size, shown.length, "no file is in two messages");
  for (const { state, row, message, bound } of shown) deepStrictEqual([state, message], [row, bound]);
  const [{ unshown = 0 } = {}] = await store.sql<{ unshown: number }[]>`
    select count(*)::integer as unshown from attachments a where message_id is not null and not exists (
      select from messages m where m.id = a.message_id and m.attachments @> jsonb_build_array(jsonb_build_object('id', a.id)))`;
  strictEqual(unshown, 0);
  const rooms = await store.sql<{ last_seq: number; changes: number; newest: number }[]>`
    select r.last_seq, count(distinct m.change_seq)::integer as changes, max(m.change_seq) as newest
    from rooms r join messages m on m.room_id = r.id group by r.id`;
  for (const { last_seq, newest } of rooms) strictEqual(newest, last_seq);
});

Deno.test("a bad file fails its message alone, and a repeat is answered whatever it names", async () => {
  await using store = await TestStore.open();
  const [ada, ben] = await store.users("ada", "ben") as [UserId, UserId];
  const target = toRoom(await store.room([ada, ben]));
  const id = await upload(store, ada, target);
  const calls = store.node.appender.calls;
  const outcomes = await Promise.all([
    send(store.node, draftOf(target, ada, "plain")),
    send(store.node, { ...draftOf(target, ben, "not his"), attachmentIds: [id] }),
    send(store.node, { ...draftOf(target, ada, "hers"), attachmentIds: [id] }),
    send(store.node, { ...draftOf(target, ada, "hers"), attachmentIds: [newAttachmentId()] }),
    send(store.node, { ...draftOf(target, ada, "again"), attachmentIds: [id] }),
  ]);
  strictEqual(store.node.appender.calls, calls + 1, "one call");
  deepStrictEqual(outcomes.map(({ code }) => code), [
    null,
    "attachment_not_found",
    null,
    null,
    "attachment_not_found",
  ]);
  strictEqual(idOf(outcomes[2]), idOf(outcomes[3]));
});
