/**
 * The way out of one Socket.IO client: what one turn brings leaves at its end, in order, and events carry the offset when
 * that has changed. A room that is heard from now on stands in an offset before the answer that says so, and one that is
 * heard no more leaves it at once: wherever the client is cut off, what it knows of itself is true.
 */
import type { Topic } from "../delivery/pushes.ts";
import { Offset } from "./offset.ts";
import { closeFrame, encodeOffset } from "./wire.ts";

interface Told {
  is: "told";
  topic: Topic;
  seq: number;
}

type Entry =
  | { is: "event"; frame: string }
  | { is: "packet"; text: string }
  | Told
  | { is: "forgotten"; topic: Topic };

export class EventQueue {
  readonly #send: (packet: string) => void;
  #entries: Entry[] = [];
  #bytes = 0;
  #isHeld = true;
  #isLeaving = false;
  #offset: Offset | undefined;
  /** As the client has it. */
  #sent = "";

  constructor(send: (packet: string) => void) {
    this.#send = send;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Offsets are kept from now on. */
  account(epoch: string): void {
    this.#offset = new Offset(epoch);
  }

  /** Nothing leaves before. */
  release(): void {
    this.#isHeld = false;
    this.flush();
  }

  /** An event, open at its end. */
  event(frame: string): void {
    this.#bytes += frame.length;
    this.#add({ is: "event", frame });
  }

  packet(text: string): void {
    this.#bytes += text.length;
    this.#add({ is: "packet", text });
  }

  told(topic: Topic, seq: number): void {
    this.#add({ is: "told", topic, seq });
  }

  forget(topic: Topic): void {
    this.#add({ is: "forgotten", topic });
  }

  #add(entry: Entry): void {
    this.#entries.push(entry);
    if (this.#isHeld || this.#isLeaving) return;
    this.#isLeaving = true;
    queueMicrotask(() => this.flush());
  }

  flush(): void {
    this.#isLeaving = false;
    if (this.#isHeld) return;
    const entries = this.#entries;
    this.#entries = [];
    this.#bytes = 0;
    this.#tellNewRooms(entries);
    for (const [i, entry] of entries.entries()) {
      if (entry.is === "event") this.#send(closeFrame(entry.frame, this.#news()));
      else if (entry.is === "packet") this.#send(entry.text);
      else if (entry.is === "forgotten") {
        if (this.#offset?.forget(entry.topic)) this.#tellOffset();
      } else if (!isToldAgain(entries, i, entry)) this.#offset?.told(entry.topic, entry.seq);
    }
  }

  #tellNewRooms(entries: readonly Entry[]): void {
    let isNews = false;
    for (const entry of entries) {
      if (
        entry.is !== "told" || entry.topic.startsWith("inbox:") || this.#offset?.hears(entry.topic) !== false
      ) {
        continue;
      }
      this.#offset.told(entry.topic, entry.seq);
      isNews = true;
    }
    if (isNews) this.#tellOffset();
  }

  #tellOffset(): void {
    const news = this.#news();
    if (news !== undefined) this.#send(encodeOffset(news));
  }

  /** What the client does not know yet. */
  #news(): string | undefined {
    const now = this.#offset?.toString() ?? "";
    if (now === this.#sent) return undefined;
    this.#sent = now;
    return now;
  }
}

/** One place of an inbox may hold two rows, one right after the other: it is told with the last of them. */
function isToldAgain(entries: readonly Entry[], i: number, { topic, seq }: Told): boolean {
  const next = entries[i + 2];
  return next?.is === "told" && next.topic === topic && next.seq === seq && entries[i + 3]?.is === "event";
}
