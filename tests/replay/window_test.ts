import { deepStrictEqual } from "node:assert/strict";
import { Window } from "../../bench/replay/window.ts";

Deno.test("Window lets in as many as it has places, and waiters in their order", async () => {
  const window = new Window(2);
  const inside: number[] = [];
  const exits = [await window.enter(), await window.enter()];
  const waiting = [1, 2, 3].map(async (who) => {
    const exit = await window.enter();
    inside.push(who);
    return exit;
  });
  exits[0]?.();
  const exit = await waiting[0];
  deepStrictEqual(inside, [1]);
  exits[1]?.();
  exit?.();
  await Promise.all(waiting);
  deepStrictEqual(inside, [1, 2, 3]);
});
