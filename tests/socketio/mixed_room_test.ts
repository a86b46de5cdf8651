/** One room, heard by every kind of client on two nodes: all see the same events in the same order. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { CallingSocket, Ear } from "../helpers/doors.ts";
import { TwoNodes } from "../helpers/two_nodes.ts";

const SENDS = 20;
const DOORS = ["socket", "socketio", "socketio_polling"] as const;

Deno.test("a room of polling, WebSocket, native and REST clients on two nodes is one room", async () => {
  await using nodes = await TwoNodes.start();
  const owner = await nodes.rest(0, "owner");
  const { room } = await owner.call("create_room", { name: "mixed", maxMembers: 50 });
  const roomId = room.id;
  const ears: Ear<CallingSocket>[] = [];
  for (const door of DOORS) {
    for (const n of [0, 1]) {
      const ear = await nodes.doors(n)[door].ear(`${door}-${n}`);
      await ear.call("join_room", { roomId });
      ears.push(ear);
    }
  }
  const senders = [owner, await nodes.rest(1, "owner"), ...ears];
  const sent = await Promise.all(
    senders.flatMap((sender, i) =>
      Array.from({ length: SENDS }, async (_, n) => {
        const { message } = await sender.call("send_message", { roomId, content: `${i} ${n}` });
        if (n % 5 === 0) {
          await sender.call("update_message", { messageId: message.id, content: `${i} ${n}!` });
        }
        return message.seq as number;
      })
    ),
  );
  const last = await owner.call("send_message", { roomId, content: "last" });
  const first = Math.min(...sent);
  const heardBy = (ear: Ear<CallingSocket>): string[] =>
    ear.heardOf(roomId).filter((each) => Number(each.split(" ")[1]) >= first);
  for (const ear of ears) {
    await ear.next("message_received", ({ message }) => message.id === last.message.id);
  }
  const [expected = [], ...others] = ears.map(heardBy);
  strictEqual(expected.length, last.message.seq - first + 1);
  strictEqual(expected.filter((each) => each.startsWith("message_received")).length, sent.length + 1);
  for (const other of others) deepStrictEqual(other, expected);
});
