/**
 * The check of what was sent against history: every line stands there exactly once, as it was sent and as it was
 * acknowledged; nothing else stands there; and each sender's messages are in the order they were sent. Pure.
 */
import { isDeepStrictEqual } from "node:util";
import type { Message } from "../../src/protocol/models.ts";
import type { Fault, FaultKind } from "./faults.ts";

export interface Sent {
  readonly line: number;
  readonly nick: string;
  readonly userId: string;
  readonly clientMessageId: string;
  readonly content: string;
  /** The id of the parent that was asked for. */
  replyToId: string | undefined;
  /** More than one if it was tried again: such a message may be passed by later ones. */
  tries: number;
  /** As acknowledged; undefined if it never was. */
  acked: Message | undefined;
}

export function checkSent(sent: readonly Sent[], history: readonly Message[]): Fault[] {
  const faults: Fault[] = [];
  const add = (kind: FaultKind, text: string): unknown => faults.push({ kind, text });
  const stored = new Map<string, Message[]>();
  for (const message of history) {
    const key = keyOf(message.senderId, message.clientMessageId);
    stored.set(key, [...stored.get(key) ?? [], message]);
  }

  for (const one of sent) {
    const who = `line ${one.line + 1} of ${one.nick}`;
    const key = keyOf(one.userId, one.clientMessageId);
    const [message, ...more] = stored.get(key) ?? [];
    stored.delete(key);
    if (message === undefined) {
      // without an ack it was never promised; the refusal has been reported
      if (one.acked !== undefined) add("lost", `${who}, acknowledged as ${one.acked.seq}`);
      continue;
    }
    for (const double of more) add("doubled", `${who}: ${message.seq} and ${double.seq}`);
    const wrong = one.acked === undefined || isDeepStrictEqual(one.acked, message) ? [] : ["the ack"];
    if (message.content !== one.content) wrong.push("content");
    if (message.replyToId !== (one.replyToId ?? null)) wrong.push("replyToId");
    if (message.type !== "TEXT" || message.isEdited || message.isDeleted) wrong.push("type or state");
    if (wrong.length > 0) add("different", `${who}, message ${message.seq}: ${wrong.join(", ")}`);
  }
  for (const message of [...stored.values()].flat()) {
    add("stranger", `message ${message.seq} by ${message.senderId}: ${message.clientMessageId}`);
  }
  return [...faults, ...checkSenders(sent, history)];
}

function checkSenders(sent: readonly Sent[], history: readonly Message[]): Fault[] {
  const places = new Map(history.map((message) => [message.clientMessageId, message.seq]));
  const newest = new Map<string, { line: number; seq: number }>();
  const faults: Fault[] = [];
  for (const { line, nick, clientMessageId, tries } of sent) {
    const seq = places.get(clientMessageId);
    if (seq === undefined || tries > 1) continue;
    const before = newest.get(nick);
    if (before !== undefined && seq < before.seq) {
      const text = `${nick}: line ${line + 1} is message ${seq}, line ${before.line + 1} is ${before.seq}`;
      faults.push({ kind: "sender_order", text });
    } else newest.set(nick, { line, seq });
  }
  return faults;
}

const keyOf = (userId: string, clientMessageId: string): string => JSON.stringify([userId, clientMessageId]);
