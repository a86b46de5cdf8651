/** A thousand sockets that each wait for one send: all are served, none much later than the others. */
import { ok, strictEqual } from "node:assert/strict";
import { runClosedLoop } from "../../bench/hostile/closed_loop.ts";
import { signToken } from "../helpers/test_app.ts";
import { startTarget } from "./target.ts";

const SOCKETS = 1_000;
const PER_ROOM = 10;

Deno.test("1,000 sockets with a send outstanding each are served in turn", async () => {
  await using target = await startTarget({ CHAT_OVERLOAD_LAG: "0" });
  const rooms = await Promise.all(
    Array.from({ length: SOCKETS / PER_ROOM }, (_, i) => target.room(`owner${i}`, `room ${i}`)),
  );
  const seats = await Promise.all(Array.from({ length: SOCKETS }, async (_, i) => ({
    token: await signToken(`user${i}`),
    roomId: rooms[i % rooms.length] ?? "",
  })));
  // a machine that is busy with something else may halt for a while: the best of three windows
  let found = await runClosedLoop({ port: target.port, seats, warmUpMs: 1_000, windowMs: 4_000 });
  for (let turn = 0; turn < 2 && found.p99 >= 3 * found.p50; turn++) {
    found = await runClosedLoop({ port: target.port, seats, warmUpMs: 1_000, windowMs: 4_000 });
  }
  const told = JSON.stringify(found);
  strictEqual(found.refused, 0, told);
  strictEqual(found.unserved, 0, told);
  ok(found.p99 < 3 * found.p50, told);
  // in turns: on a busy machine all wait longer, but alike
  ok(found.worst < Math.max(1_000, 5 * found.p50), told);
  ok(found.most <= 3 * found.fewest + 2, told);
  target.requireNoFaults();
});
