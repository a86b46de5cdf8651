/**
 * The envelope of the native socket, text frames of JSON. Command `{"event","data","id"?}`, reply `{"ack",
 * "data"}` or `{"ack","error"}`, push `{"event","data"}`; with the batch subprotocol a frame may be an array.
 */
import { ChatError, type ErrorBody } from "./errors.ts";
import type { JsonText } from "./json_text.ts";

/** What ties a reply to its command: a whole number or a short text of the client's choice. */
export type CommandId = number | string;

export interface Command {
  event: string;
  data: unknown;
  id: CommandId | undefined;
}

const ID_LENGTH_MAX = 64;
const BATCH_MAX = 100;

/** Throws `invalid_request` if the frame is not JSON, or not a command. An id that can be read rides in the error's `ack`. */
export function parseFrame(text: string, batch: boolean): (Command | BadCommand)[] {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    throw new ChatError("invalid_request", "The frame is not JSON");
  }
  if (!batch || !Array.isArray(frame)) return [toCommand(frame)];
  if (frame.length > BATCH_MAX) {
    throw new ChatError("invalid_request", `Expected at most ${BATCH_MAX} commands in a frame`);
  }
  return frame.map(toCommand);
}

export interface BadCommand {
  bad: ChatError;
  id: CommandId | undefined;
}

function toCommand(value: unknown): Command | BadCommand {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return {
      bad: new ChatError("invalid_request", "Expected an object with event, data and id"),
      id: undefined,
    };
  }
  const { event, data, id } = value as Record<string, unknown>;
  const isId = (typeof id === "number" && Number.isSafeInteger(id)) ||
    (typeof id === "string" && id.length <= ID_LENGTH_MAX);
  if (id !== undefined && !isId) {
    const text = "id: Expected a whole number or a text of at most 64 characters";
    return { bad: new ChatError("invalid_request", text, { field: "id" }), id: undefined };
  }
  if (typeof event !== "string") {
    return {
      bad: new ChatError("invalid_request", "event: Expected the name of a command", { field: "event" }),
      id: id as CommandId | undefined,
    };
  }
  return { event, data, id: id as CommandId | undefined };
}

export function encodeAck(id: CommandId, data: JsonText): string {
  return `{"ack":${JSON.stringify(id)},"data":${data}}`;
}

export function encodeAckError(id: CommandId, error: ErrorBody): string {
  return `{"ack":${JSON.stringify(id)},"error":${JSON.stringify(error)}}`;
}

export function encodePush(event: string, data: JsonText): string {
  return `{"event":${JSON.stringify(event)},"data":${data}}`;
}
