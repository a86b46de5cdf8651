/**
 * Receipts: who has read up to where, told to a room. The first goes at once; what follows is gathered, so that a room is
 * told once a window by a node, of each reader the newest, and of so many readers at a time. The more hear the room, the
 * longer its windows: what a node spends on a room's receipts is bounded.
 */
import { EphemeralPush } from "../delivery/ephemeral.ts";
import type { Hub } from "../delivery/hub.ts";
import type { Topic } from "../delivery/pushes.ts";
import type { RoomId, UserId } from "../protocol/ids.ts";
import { type JsonText, toJson } from "../protocol/json_text.ts";
import { RECEIPTS_BYTES_PER_S, RECEIPTS_MAX, RECEIPTS_WINDOW_MS } from "../protocol/limits.ts";
import type { Receipt } from "../protocol/models.ts";

/** A receipt that comes from another node so much later may be told again. */
const REMEMBER_MS = 10_000;

interface Gathering {
  topic: Topic;
  roomId: RoomId;
  /** Of each reader the newest that is not told; `own`: other nodes are to hear of it. */
  waiting: Map<UserId, { receipt: Receipt; own: boolean }>;
  told: Map<UserId, number>;
  /** The next may be told from here on. */
  openAt: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Receipts implements Disposable {
  readonly #hub: Hub;
  /** By topic and room: an inbox carries several. */
  readonly #gatherings = new Map<string, Gathering>();
  #isEnded = false;

  constructor(uses: { hub: Hub }) {
    this.#hub = uses.hub;
    this.#hub.onSignal("receipts", (topic, payload) => {
      const { roomId, receipts }: { roomId: RoomId; receipts: Receipt[] } = JSON.parse(payload);
      for (const receipt of receipts) this.#add(topic, roomId, receipt, false);
    });
  }

  /** `topics`: the room's, or a direct room's two inboxes. */
  note(topics: Iterable<Topic>, roomId: RoomId, receipt: Receipt): void {
    for (const topic of topics) this.#add(topic, roomId, receipt, true);
  }

  #add(topic: Topic, roomId: RoomId, receipt: Receipt, own: boolean): void {
    if (this.#isEnded) return;
    const key = `${topic} ${roomId}`;
    let gathering = this.#gatherings.get(key);
    if (gathering === undefined) {
      gathering = { topic, roomId, waiting: new Map(), told: new Map(), openAt: -Infinity, timer: undefined };
      this.#gatherings.set(key, gathering);
    }
    const { userId, lastReadSeq } = receipt;
    const known = gathering.waiting.get(userId);
    if (lastReadSeq <= Math.max(gathering.told.get(userId) ?? 0, known?.receipt.lastReadSeq ?? 0)) return;
    gathering.waiting.set(userId, { receipt, own: own || known?.own === true });
    this.#goOn(key, gathering);
  }

  /** Tells what waits once the window is over; forgets the room after a while in which nothing came. */
  #goOn(key: string, gathering: Gathering): void {
    clearTimeout(gathering.timer);
    const waitMs = gathering.openAt - performance.now();
    if (gathering.waiting.size === 0) {
      gathering.timer = setTimeout(() => this.#gatherings.delete(key), REMEMBER_MS);
    } else if (waitMs > 0) {
      gathering.timer = setTimeout(() => this.#goOn(key, gathering), waitMs);
    } else {
      this.#tell(gathering);
      this.#goOn(key, gathering);
    }
  }

  #tell(gathering: Gathering): void {
    const { topic, roomId, waiting, told } = gathering;
    const taken = [...waiting.values()].slice(0, RECEIPTS_MAX);
    for (const { receipt: { userId, lastReadSeq } } of taken) {
      waiting.delete(userId);
      told.set(userId, lastReadSeq);
    }
    const dataOf = (some: typeof taken): JsonText =>
      toJson({ roomId, receipts: some.map(({ receipt }) => receipt) });
    const push = new EphemeralPush("read_receipt", dataOf(taken));
    const bytes = push.data.length * this.#hub.pushEphemeral(topic, push);
    const windowMs = Math.max(RECEIPTS_WINDOW_MS, bytes / RECEIPTS_BYTES_PER_S * 1000);
    gathering.openAt = performance.now() + windowMs;
    const own = taken.filter((each) => each.own);
    if (own.length > 0) this.#hub.signal(topic, { kind: "receipts", payload: dataOf(own) });
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    for (const { timer } of this.#gatherings.values()) clearTimeout(timer);
    this.#gatherings.clear();
  }
}
