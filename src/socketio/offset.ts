/**
 * The offset: how far one client is told, of its inbox and of every room that it hears, as a text that it keeps and
 * brings back. All there is of a session that can be recovered: no node remembers anything.
 */
import type { Told } from "../chat/recovery.ts";
import type { Topic } from "../delivery/pushes.ts";
import { isUuid, type RoomId } from "../protocol/ids.ts";

/** With more rooms there is no offset, and nothing is recovered. */
export const OFFSET_ROOMS_MAX = 32;
const LENGTH_MAX = 2_048;
const ID_LENGTH = 22;
const BASE64 = { alphabet: "base64url", omitPadding: true } as const;
const SEQ = /^[0-9a-z]{1,11}$/;

/** Keeps the account of one client. */
export class Offset {
  readonly #epoch: string;
  #inbox = 0;
  readonly #rooms = new Map<string, string>();

  constructor(epoch: string) {
    this.#epoch = epoch;
  }

  hears(topic: Topic): boolean {
    return this.#rooms.has(topic);
  }

  told(topic: Topic, seq: number): void {
    if (topic.startsWith("inbox:")) this.#inbox = seq;
    else {this.#rooms.set(
        topic,
        (this.#rooms.get(topic) ?? encodeId(topic)).slice(0, ID_LENGTH) + encodeSeq(seq),
      );}
  }

  /** False if it was not heard. */
  forget(topic: Topic): boolean {
    return this.#rooms.delete(topic);
  }

  /** Empty for too many rooms: that makes the client forget an older one. */
  toString(): string {
    if (this.#rooms.size > OFFSET_ROOMS_MAX) return "";
    return [this.#epoch, encodeSeq(this.#inbox), ...this.#rooms.values()].join(",");
  }
}

/** Undefined for what is none of ours. */
export function parseOffset(text: unknown): Told | undefined {
  if (typeof text !== "string" || text.length > LENGTH_MAX) return undefined;
  const [epoch = "", inbox = "", ...entries] = text.split(",");
  if (!isUuid(epoch) || !SEQ.test(inbox) || entries.length > OFFSET_ROOMS_MAX) return undefined;
  const rooms = new Map<RoomId, number>();
  for (const entry of entries) {
    const roomId = decodeId(entry.slice(0, ID_LENGTH));
    const seq = entry.slice(ID_LENGTH);
    if (roomId === undefined || !SEQ.test(seq)) return undefined;
    rooms.set(roomId, parseInt(seq, 36));
  }
  const told = { epoch, inbox: parseInt(inbox, 36), rooms };
  return [told.inbox, ...rooms.values()].every(Number.isSafeInteger) ? told : undefined;
}

const encodeSeq = (seq: number): string => seq.toString(36);

const encodeId = (topic: Topic): string =>
  Uint8Array.fromHex(topic.slice("room:".length).replaceAll("-", "")).toBase64(BASE64);

function decodeId(text: string): RoomId | undefined {
  if (!/^[A-Za-z0-9_-]{22}$/.test(text)) return undefined;
  try {
    const hex = Uint8Array.fromBase64(text, { alphabet: "base64url" }).toHex();
    const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    return isUuid(id) ? id as RoomId : undefined;
  } catch {
    return undefined;
  }
}
