/** What a node that is far from its primary has opened and made known there before the first client comes: counted on the way. */
import { strictEqual } from "node:assert/strict";
import { newMessageId, newRoomId, type UserId } from "../../src/protocol/ids.ts";
import { Appender, laneOf } from "../../src/store/appender.ts";
import { Database } from "../../src/store/database.ts";
import { callWrite, warmWrites } from "../../src/store/rooms.ts";
import { FaultProxy } from "../faults/fault_proxy.ts";
import { createTestDatabase, quietLog } from "../helpers/databases.ts";
import { toRoom } from "./fixture.ts";

const LANES = 4;
/** Each way, so that one piece is not taken for two. */
const DELAY_MS = 5;

Deno.test("after warming, each write asks the primary once, on every connection and lane, and both ways to append", async () => {
  await using database = await createTestDatabase();
  await using proxy = FaultProxy.to(database.url);
  proxy.delayMs = DELAY_MS;
  const config = { poolSize: 8, appendLanes: LANES, prepare: true, timeoutMs: 20_000, isFar: true };
  await using db = new Database({ ...config, url: proxy.through(database.url) }, quietLog);
  const appender = new Appender(db, quietLog);
  await Promise.all([appender.warm(), warmWrites(db)]);

  let before = proxy.asked;
  const ask = { messageId: newMessageId(), userId: "ada" };
  const names = ["mark_read_v1", "mark_unread_v1", "delete_message_v1", "edit_message_v1"] as const;
  await Promise.all(names.map((name) => callWrite(db, name, ask)));
  strictEqual(db.writeConnections, names.length);
  strictEqual(proxy.asked - before, names.length);

  for (const attachmentIds of [undefined, []]) {
    before = proxy.asked;
    const sent = Array.from({ length: LANES }, (_, lane) => {
      let roomId = newRoomId();
      while (laneOf(roomId, LANES) !== lane) roomId = newRoomId();
      const id = newMessageId();
      return appender.append({
        ...{ id, target: toRoom(roomId), senderId: "ada" as UserId, clientMessageId: id, content: "hello" },
        ...{ type: "TEXT", attachmentIds, replyToId: undefined, mentions: undefined },
      }).sent;
    });
    await Promise.all(sent);
    strictEqual(proxy.asked - before, LANES);
  }
});
