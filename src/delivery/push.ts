/**
 * A push: one event on its way to sockets. It covers an interval: whoever has it knows everything in
 * (after, seq] of its stream. The JSON of its data is made once; each wire wraps it once, here remembered.
 */
import type { UserId } from "../protocol/ids.ts";
import type { JsonText } from "../protocol/json_text.ts";
import type { Stay } from "../store/room_changes.ts";

/** How a kind of client wants its pushes. The object itself is the key of the memory. */
export interface Wire {
  readonly name: string;
  encodePush(event: string, data: JsonText): string;
}

export class Push {
  readonly event: string;
  readonly data: JsonText;
  /** Of the stream that carries it: a room's sequence, or an inbox's. */
  readonly after: number;
  readonly seq: number;
  /** Whose subscription to the stream ends with this push, after they have had it. */
  readonly ends: UserId | "everyone" | undefined;
  readonly #stays: ReadonlyMap<UserId, Stay> | undefined;
  readonly #frames = new Map<Wire, string>();

  constructor(init: {
    event: string;
    data: JsonText;
    after: number;
    seq: number;
    ends?: UserId | "everyone" | undefined;
    stays?: ReadonlyMap<UserId, Stay> | undefined;
  }) {
    this.event = init.event;
    this.data = init.data;
    this.after = init.after;
    this.seq = init.seq;
    this.ends = init.ends;
    this.#stays = init.stays;
  }

  /** Repaired pushes go only to those who were there, and to whoever they tell that they are no more. */
  isFor(userId: UserId): boolean {
    const stay = this.#stays?.get(userId);
    if (stay === undefined || this.ends === userId) return true;
    return stay.from <= this.seq && (stay.to === null || this.seq <= stay.to);
  }

  frameFor(wire: Wire): string {
    let frame = this.#frames.get(wire);
    if (frame === undefined) {
      frame = wire.encodePush(this.event, this.data);
      this.#frames.set(wire, frame);
    }
    return frame;
  }
}

/** As it travels between nodes: a line of header, then the data as it is. */
export function encodePublication(nodeId: string, push: Push): string {
  const header = { node: nodeId, event: push.event, after: push.after, seq: push.seq, ends: push.ends };
  return `${JSON.stringify(header)}\n${push.data}`;
}

/** The push of a publication; undefined for this node's own, and for what is not one. */
export function decodePublication(nodeId: string, payload: string): Push | undefined {
  const end = payload.indexOf("\n");
  try {
    const header = JSON.parse(payload.slice(0, end));
    if (header.node === nodeId) return undefined;
    const { event, after, seq, ends } = header;
    if (typeof event !== "string" || !Number.isSafeInteger(after) || !Number.isSafeInteger(seq)) {
      return undefined;
    }
    return new Push({ event, after, seq, ends, data: payload.slice(end + 1) as JsonText });
  } catch {
    return undefined;
  }
}
