/**
 * What this node has seen lately: of rooms and inboxes the highest seq, by own writes and by the bus. Forgotten after 10
 * to 20 s, when every replica that may be read has it.
 */
import type { Change } from "../store/changes.ts";
import { inboxTopic, roomTopic } from "./pushes.ts";

const TURN_MS = 10_000;

export class Seen {
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #turnedAt = performance.now();

  note(key: string, seq: number): void {
    this.#turn();
    if (seq > (this.#young.get(key) ?? 0)) this.#young.set(key, seq);
  }

  noteChange(change: Change): void {
    if (change.kind === "inbox") return this.note(inboxTopic(change.userId), change.seq);
    this.note(roomTopic(change.roomId), change.seq);
    if (change.kind === "membership" || change.direct === undefined) return;
    const { low, high, inboxLow, inboxHigh } = change.direct;
    this.note(inboxTopic(low), inboxLow);
    this.note(inboxTopic(high), inboxHigh);
  }

  /** 0 if nothing. */
  of(key: string): number {
    this.#turn();
    return Math.max(this.#young.get(key) ?? 0, this.#old.get(key) ?? 0);
  }

  #turn(): void {
    const age = performance.now() - this.#turnedAt;
    if (age < TURN_MS) return;
    this.#old = age < 2 * TURN_MS ? this.#young : new Map();
    this.#young = new Map();
    this.#turnedAt = performance.now();
  }
}
