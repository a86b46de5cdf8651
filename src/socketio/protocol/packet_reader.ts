/**
 * Reads the packets of one client, by socket.io-parser: a packet is one text, and one binary message for each of its
 * attachments after it. How many, how large and how late those may be is bounded here.
 */
import { Decoder, type Packet, PacketType } from "socket.io-parser";
import type { MessageData } from "../engine/packets.ts";

export interface Read {
  packet: Packet;
  hasAttachments: boolean;
  /** Of its text. */
  chars: number;
}

const ATTACHMENTS_MAX = 10;
export const ATTACHMENTS_WITHIN_MS = 5_000;

export class PacketReader {
  readonly #maxBytes: number;
  readonly #decoder = new Decoder({ maxAttachments: ATTACHMENTS_MAX });
  #decoded: Packet | undefined;
  #bytes = 0;
  #chars = 0;

  /** `maxBytes`: of all attachments of a packet. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#decoder.on("decoded", (packet) => this.#decoded = packet);
  }

  /** The packet, once it is whole. Throws for what is none. */
  read(data: MessageData): Read | undefined {
    const isText = typeof data === "string";
    this.#bytes = isText ? 0 : this.#bytes + data.byteLength;
    if (isText) this.#chars = data.length;
    if (data === "") throw new TypeError("An empty message"); // the parser would read a CONNECT
    if (this.#bytes > this.#maxBytes) throw new RangeError("The attachments are too large");
    this.#decoder.add(data);
    const packet = this.#decoded;
    this.#decoded = undefined;
    if (packet === undefined) return undefined;
    if (packet.id !== undefined && !Number.isSafeInteger(packet.id)) throw new RangeError("Bad id");
    const isEmpty = packet.data === undefined;
    if (isEmpty && (packet.type === PacketType.EVENT || packet.type === PacketType.ACK)) {
      throw new TypeError("No arguments");
    }
    return { packet, hasAttachments: !isText, chars: this.#chars };
  }

  end(): void {
    this.#decoder.off("decoded");
    this.#decoder.destroy();
  }
}
