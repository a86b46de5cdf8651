/**
 * What has no place in a stream: typing, receipts, presence. A signal tells other nodes, an ephemeral push tells
 * sockets. Either may be lost and is never repaired: what counts of it is in Postgres or in a lease, or ends by itself.
 */
import type { JsonText } from "../protocol/json_text.ts";
import type { Wire } from "./push.ts";

/** One for as many sockets as it goes to: each wire wraps it once. */
export class EphemeralPush {
  readonly event: string;
  readonly data: JsonText;
  readonly #frames = new Map<Wire, string>();

  constructor(event: string, data: JsonText) {
    this.event = event;
    this.data = data;
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

/** `kind` says who reads it; the payload is theirs. */
export interface Signal {
  kind: string;
  payload: JsonText;
}

/** As it travels between nodes, on the topics of publications. */
export function encodeSignal(nodeId: string, { kind, payload }: Signal): string {
  return `${JSON.stringify({ node: nodeId, signal: kind })}\n${payload}`;
}

/** Undefined for this node's own, and for what is not one. */
export function decodeSignal(nodeId: string, text: string): Signal | undefined {
  const end = text.indexOf("\n");
  try {
    const { node, signal } = JSON.parse(text.slice(0, end));
    if (typeof signal !== "string" || node === nodeId) return undefined;
    return { kind: signal, payload: text.slice(end + 1) as JsonText };
  } catch {
    return undefined;
  }
}
