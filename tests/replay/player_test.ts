import { deepStrictEqual } from "node:assert/strict";
import type { Door, Ears, Link } from "../../bench/replay/door.ts";
import { FaultList } from "../../bench/replay/faults.ts";
import { MessagePool } from "../../bench/replay/hearing.ts";
import { Player, type PlayerUses, type Sending } from "../../bench/replay/player.ts";
import { Refusal } from "../../bench/replay/refusal.ts";
import { messageAt, ROOM } from "./logs.ts";

interface Asked {
  event: string;
  data: Record<string, unknown>;
  answer: (data: unknown) => void;
  refuse: (code: string) => void;
}

/** A door behind which the test stands: it sees what is asked, and answers. */
class StagedDoor implements Door {
  readonly name = "staged";
  readonly asked: Asked[] = [];
  ears: Ears | undefined;
  links = 0;
  #wake = Promise.withResolvers<void>();

  connect(token: string, ears: Ears): Promise<Link> {
    this.ears = ears;
    this.links++;
    return Promise.resolve({
      userId: token,
      call: (event: string, data: unknown): Promise<unknown> => {
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        const refuse = (code: string): void => reject(new Refusal(code, "said the test"));
        this.asked.push({ event, data: data as Record<string, unknown>, answer: resolve, refuse });
        this.#wake.resolve();
        return promise;
      },
      close: () => Promise.resolve(void this.links--),
    });
  }

  async next(): Promise<Asked> {
    while (this.asked.length === 0) {
      this.#wake = Promise.withResolvers<void>();
      await this.#wake.promise;
    }
    return this.asked.shift()!;
  }

  /** Joined, at place 10. */
  async join(player: Player): Promise<void> {
    const joined = player.play({ is: "join" });
    const { event, answer } = await this.next();
    deepStrictEqual(event, "join_room");
    answer({ position: { seq: 10 }, messages: [], hasMoreBefore: false });
    await joined;
  }
}

function stage(): { door: StagedDoor; faults: FaultList; retries: string[]; player: Player } {
  const door = new StagedDoor();
  const faults = new FaultList();
  const retries: string[] = [];
  const uses: PlayerUses = {
    roomId: ROOM,
    door,
    tokenFor: (sub) => Promise.resolve(sub),
    pool: new MessagePool(),
    faults,
    onAck: () => {},
    onMessage: () => {},
    onRetry: (code) => void retries.push(code),
  };
  return { door, faults, retries, player: new Player("ada", "run:ada", uses) };
}

const sendingAt = (line: number, parent?: Sending): Sending => ({
  ...{
    line,
    nick: "ada",
    userId: "run:ada",
    clientMessageId: `run-${line}`,
    content: `text ${line}`,
    parent,
  },
  ...{
    settled: Promise.withResolvers<void>(),
    replyToId: undefined,
    tries: 0,
    firstTriedAt: 0,
    acked: undefined,
  },
});

Deno.test("Player sends without waiting for acks, and leaves after the last of them and its own user_left", async () => {
  const { door, faults, player } = stage();
  await door.join(player);
  const said = [1, 2].map((line) => player.play({ is: "say", sending: sendingAt(line) }));
  const left = player.play({ is: "leave" });
  const [first, second] = [await door.next(), await door.next()];
  deepStrictEqual([first.data["clientMessageId"], second.data["clientMessageId"]], ["run-1", "run-2"]);
  deepStrictEqual(door.asked.length, 0);
  second.answer({ message: messageAt(12) });
  first.answer({ message: messageAt(11) });
  await Promise.all(said);
  const leave = await door.next();
  deepStrictEqual([leave.event, leave.data], ["leave_room", { roomId: ROOM, membership: true }]);
  leave.answer({ roomId: ROOM });
  door.ears?.push("user_left", { userId: "run:ada", roomId: ROOM, after: 12, seq: 13 });
  await left;
  deepStrictEqual([door.links, player.hearings[0]?.until, faults.total], [0, 13, 0]);
});

Deno.test("Player sends a reply once its parent is acknowledged", async () => {
  const { door, player } = stage();
  await door.join(player);
  const parent = sendingAt(1);
  const replied = player.play({ is: "say", sending: sendingAt(2, parent) });
  const said = stage();
  await said.door.join(said.player);
  const first = said.player.play({ is: "say", sending: parent });
  const asked = await said.door.next();
  deepStrictEqual(door.asked.length, 0);
  asked.answer({ message: messageAt(11) });
  await first;
  const reply = await door.next();
  deepStrictEqual(reply.data["replyToId"], messageAt(11).id);
  reply.answer({ message: messageAt(12) });
  await replied;
  await Promise.all([player.close(), said.player.close()]);
});

Deno.test("Player tries a passing refusal again with the same clientMessageId, and reports any other", async () => {
  const { door, faults, retries, player } = stage();
  await door.join(player);
  const sending = sendingAt(1);
  const said = player.play({ is: "say", sending });
  (await door.next()).refuse("busy");
  const again = await door.next();
  deepStrictEqual(again.data["clientMessageId"], "run-1");
  again.answer({ message: messageAt(11) });
  await said;
  deepStrictEqual([sending.tries, retries, faults.total], [2, ["busy"], 0]);

  const refused = player.play({ is: "say", sending: sendingAt(2) });
  (await door.next()).refuse("internal");
  await refused;
  deepStrictEqual(faults.counts, { refused: 1 });
  await player.close();
});

Deno.test("Player reports a closed connection and goes on without it", async () => {
  const { door, faults, player } = stage();
  await door.join(player);
  door.ears?.closed("4008 slow_consumer");
  const said = player.play({ is: "say", sending: sendingAt(1) });
  (await door.next()).refuse("closed");
  await said;
  await player.close();
  deepStrictEqual(faults.counts, { disconnected: 1, refused: 1 });
});
