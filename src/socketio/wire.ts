/** The wire of Socket.IO clients: a push is an event of the main namespace, whose last argument and end are the socket's own. */
import { PacketType } from "socket.io-parser";
import type { Wire } from "../delivery/push.ts";
import type { JsonText } from "../protocol/json_text.ts";

/** Left open at its end: `closeFrame` ends it. */
export const socketIoWire: Wire = {
  name: "socketio",
  encodePush: (event, data) => `${PacketType.EVENT}[${JSON.stringify(event)},${data}`,
};

/** `offset`: what the client is to know of itself, in letters that JSON leaves as they are. */
export const closeFrame = (frame: string, offset: string | undefined): string =>
  offset === undefined ? `${frame}]` : `${frame},"${offset}"]`;

/** Of no event's name: how far the client is told, when it is told no event. */
export const encodeOffset = (offset: string): string => `${PacketType.EVENT}["offset","${offset}"]`;

export const encodeAck = (id: number, answer: JsonText): string => `${PacketType.ACK}${id}[${answer}]`;
