/** History at every door: pages by seq with honest edges, and nothing of others' rooms. Search: search_test.ts. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { codeOf, type DoorClient, type Json } from "../helpers/doors.ts";
import { atEveryDoor, makeRoom, people } from "../suites/door_suite.ts";

/** `count` messages "1", "2", …; answers their seqs. Other changes lie between them, so seqs have holes. */
async function fill(client: DoorClient, roomId: string, count: number): Promise<number[]> {
  const seqs: number[] = [];
  for (let i = 1; i <= count; i++) {
    seqs.push((await client.call("send_message", { roomId, content: `${i}` })).message.seq);
    if (i % 3 === 0) await client.call("update_room", { roomId, description: `after ${i}` });
  }
  return seqs;
}

type Page = readonly [first: number | null, last: number | null, before: boolean, after: boolean];

function pageOf({ messages, hasMoreBefore, hasMoreAfter }: Json): Page {
  const numbers = messages.map(({ content }: Json) => Number(content));
  deepStrictEqual(numbers, numbers.toSorted((a: number, b: number) => a - b));
  return [numbers.at(0) ?? null, numbers.at(-1) ?? null, hasMoreBefore, hasMoreAfter];
}

atEveryDoor(
  "list_messages pages before, after and around a seq, and says whether there is more",
  async (door) => {
    const [ada, bob] = await people(door, "ada", "bob");
    const roomId = await makeRoom(ada, ["bob"]);
    const seqs = await fill(ada, roomId, 10);
    const [first, last] = [seqs[0]!, seqs[9]!];
    const at = (n: number): number => seqs[n - 1]!;
    const page = async (ask: Json) => pageOf(await bob.call("list_messages", { roomId, ...ask }));
    const wanted: [Json, Page][] = [
      [{}, [1, 10, false, false]],
      [{ limit: 10 }, [1, 10, false, false]],
      [{ limit: 9 }, [2, 10, true, false]],
      [{ limit: 1 }, [10, 10, true, false]],
      [{ before: at(6), limit: 2 }, [4, 5, true, true]],
      [{ before: at(6), limit: 5 }, [1, 5, false, true]],
      [{ before: at(6), limit: 4 }, [2, 5, true, true]],
      [{ before: first }, [null, null, false, true]],
      [{ before: 0 }, [null, null, false, true]],
      [{ before: last + 1, limit: 3 }, [8, 10, true, false]],
      [{ before: Number.MAX_SAFE_INTEGER, limit: 3 }, [8, 10, true, false]],
      [{ after: at(6), limit: 2 }, [7, 8, true, true]],
      [{ after: at(6), limit: 4 }, [7, 10, true, false]],
      [{ after: at(6), limit: 3 }, [7, 9, true, true]],
      [{ after: last }, [null, null, true, false]],
      [{ after: 0, limit: 4 }, [1, 4, false, true]],
      [{ after: Number.MAX_SAFE_INTEGER }, [null, null, true, false]],
      [{ around: at(5), limit: 4 }, [4, 7, true, true]],
      [{ around: at(5), limit: 100 }, [1, 10, false, false]],
      [{ around: first, limit: 4 }, [1, 3, false, true]],
      [{ around: last, limit: 4 }, [9, 10, true, false]],
      [{ around: at(5), limit: 1 }, [5, 5, true, true]],
      [{ around: at(3) + 1, limit: 2 }, [3, 4, true, true]], // a seq that is no message's
    ];
    for (const [ask, expected] of wanted) deepStrictEqual(await page(ask), expected, JSON.stringify(ask));
    const { position, oldestSeq } = await bob.call("list_messages", { roomId, limit: 1 });
    deepStrictEqual([position.seq, oldestSeq], [(await bob.call("get_room", { roomId })).room.lastSeq, 1]);
    const empty = await bob.call("list_messages", { roomId: await makeRoom(bob) });
    deepStrictEqual(pageOf(empty), [null, null, false, false]);
  },
);

atEveryDoor("list_messages walked backwards and forwards gives every message once", async (door) => {
  const [ada] = await people(door, "ada");
  const roomId = await makeRoom(ada);
  const seqs = await fill(ada, roomId, 11);
  const walk = async (
    from: Json,
    next: (page: Json[]) => Json,
    isMore: (answer: Json) => boolean,
  ): Promise<number[]> => {
    const seen: number[] = [];
    for (let ask = from;;) {
      const answer = await ada.call("list_messages", { roomId, limit: 4, ...ask });
      seen.push(...answer.messages.map(({ seq }: Json) => seq));
      if (!isMore(answer)) return seen.toSorted((a, b) => a - b);
      ask = next(answer.messages);
    }
  };
  deepStrictEqual(
    await walk({}, (page) => ({ before: page[0].seq }), (answer) => answer.hasMoreBefore),
    seqs,
  );
  deepStrictEqual(
    await walk({ after: 0 }, (page) => ({ after: page.at(-1).seq }), (answer) => answer.hasMoreAfter),
    seqs,
  );
});

atEveryDoor("who joins late may read what was before", async (door) => {
  const [ada, eve] = await people(door, "ada", "eve");
  const roomId = await makeRoom(ada);
  await fill(ada, roomId, 3);
  strictEqual(await codeOf(eve.call("list_messages", { roomId })), "forbidden");
  await eve.call("join_room", { roomId });
  deepStrictEqual(pageOf(await eve.call("list_messages", { roomId })), [1, 3, false, false]);
});
