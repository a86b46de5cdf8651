/** Packets of Engine.IO 4 as text and bytes, by engine.io-parser; and how much a packet weighs while it waits. */
import { decodePacket, decodePayload, encodePacket, encodePayload, type Packet } from "engine.io-parser";
import { ChatError } from "../../protocol/errors.ts";

export type { Packet };
/** What a message carries. */
export type MessageData = string | Uint8Array<ArrayBuffer>;

/** Of one payload. A client gathers what it could not send yet; a socket may have as many frames undone. */
const PAYLOAD_PACKETS_MAX = 1_000;
const SEPARATOR = "\x1e";
/** What the smallest packet takes in memory. */
const PACKET_BYTES = 64;

/** The encoders call back before they return. */
function encoded<T>(encode: (take: (text: T) => void) => void): T {
  const taken: T[] = [];
  encode((text) => taken.push(text));
  return taken[0]!;
}

/** As a frame of its own. */
export const toFrame = (packet: Packet): MessageData =>
  encoded((take) => encodePacket(packet, true, take as (text: unknown) => void));

export const toPayload = (packets: Packet[]): string => encoded((take) => encodePayload(packets, take));

/** What is no packet has the type `error`. */
export const fromFrame = (frame: MessageData): Packet =>
  decodePacket(typeof frame === "string" ? frame : frame.buffer, "arraybuffer");

/** Throws `too_large` for too many packets, before they are taken apart. */
export function fromPayload(payload: string): Packet[] {
  let count = 1;
  for (let at = payload.indexOf(SEPARATOR); at >= 0; at = payload.indexOf(SEPARATOR, at + 1)) count++;
  if (count > PAYLOAD_PACKETS_MAX) {
    throw new ChatError("too_large", `A payload may have at most ${PAYLOAD_PACKETS_MAX} packets`);
  }
  return decodePayload(payload, "arraybuffer");
}

/** Of a message as it came in. */
export const messageOf = (packet: Packet): MessageData =>
  packet.data instanceof ArrayBuffer ? new Uint8Array(packet.data) : packet.data ?? "";

export function weightOf({ data }: Packet): number {
  if (typeof data === "string") return PACKET_BYTES + data.length;
  return PACKET_BYTES + (data === undefined ? 0 : Math.ceil(data.byteLength * 4 / 3));
}
