/** Innocent clients: they chat in rooms of five, at a fixed pace, and note how long each of their sends took. */
import { connectSocket, type TestSocket } from "../../tests/helpers/test_socket.ts";
import { now, pause, Told } from "./child.ts";

export interface InnocentsAsk {
  url: string;
  seats: { token: string; roomId: string }[];
  /** Between two sends of one of them. */
  everyMs: number;
}

/** [when it was sent, how long it took until its ack]. */
export type Sample = [at: number, ms: number];

export interface InnocentsResult {
  acks: Sample[];
  /** How late a timer of their own process came: what they measure is too long by as much. */
  lags: Sample[];
  /** Sends that were answered with an error, or not at all. */
  faults: [at: number, text: string][];
  closed: number;
  /** Messages of their rooms that one of them did not hear, or heard twice. */
  missed: number;
}

const LAG_LOOK_MS = 10;
const ACCOUNT_MS = 1_000;

/** One of them, and what it has heard: counted and forgotten, or collecting it would take a core from the node. */
class Innocent {
  readonly socket: TestSocket;
  readonly roomId: string;
  heard = 0;
  /** Heard twice, or after one that came later. */
  wrong = 0;
  #last = 0;

  constructor(socket: TestSocket, roomId: string) {
    this.socket = socket;
    this.roomId = roomId;
  }

  account(): void {
    for (const { seq } of this.socket.events("message_received")) {
      if (seq > this.#last) this.heard++;
      else this.wrong++;
      this.#last = Math.max(this.#last, seq);
    }
    this.socket.pushes.length = 0;
  }
}

async function chat(ask: InnocentsAsk, told: Told): Promise<InnocentsResult> {
  const result: InnocentsResult = { acks: [], lags: [], faults: [], closed: 0, missed: 0 };
  const innocents: Innocent[] = [];
  for (const { token, roomId } of ask.seats) {
    const socket = await connectSocket(ask.url, token);
    await socket.call("join_room", { roomId });
    innocents.push(new Innocent(socket, roomId));
  }
  const sent = new Map<string, number>();
  const under = new Set<Promise<unknown>>();
  let turn = 0;
  const timer = setInterval(() => {
    const { socket, roomId } = innocents[turn++ % innocents.length]!;
    const at = now();
    const sending = socket.call("send_message", { roomId, content: "good day" }).then(
      () => {
        result.acks.push([at, now() - at]);
        sent.set(roomId, (sent.get(roomId) ?? 0) + 1);
      },
      (fault) => void result.faults.push([at, String(fault)]),
    ).finally(() => under.delete(sending));
    under.add(sending);
  }, ask.everyMs / innocents.length);
  const accountTimer = setInterval(() => innocents.forEach((each) => each.account()), ACCOUNT_MS);
  let due = performance.now() + LAG_LOOK_MS;
  const lagTimer = setInterval(() => {
    result.lags.push([now(), Math.max(0, performance.now() - due)]);
    due = performance.now() + LAG_LOOK_MS;
  }, LAG_LOOK_MS);

  told.answer("chatting");
  await told.next();
  clearInterval(timer);
  clearInterval(lagTimer);
  clearInterval(accountTimer);
  await Promise.race([Promise.all(under), pause(5_000)]);
  result.faults.push(...[...under].map((): [number, string] => [now(), "no answer"]));
  await pause(1_000);
  for (const innocent of innocents) {
    innocent.account();
    if (innocent.socket.closed !== undefined) result.closed++;
    result.missed += Math.abs((sent.get(innocent.roomId) ?? 0) - innocent.heard) + innocent.wrong;
  }
  return result;
}

if (import.meta.main) {
  const told = new Told();
  const ask: InnocentsAsk = JSON.parse(await told.next());
  told.answer(await chat(ask, told));
}
