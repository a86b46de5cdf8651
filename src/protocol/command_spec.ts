/** What a command is in the tables: its input, its output, and where REST has it. */
import { z } from "zod";
import * as s from "./schemas.ts";

export interface RestBinding {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  /** Of success. */
  status: 200 | 201;
}

export interface CommandSpec<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  summary: string;
  tag:
    | "rooms"
    | "members"
    | "messages"
    | "files"
    | "direct messages"
    | "reading"
    | "presence"
    | "sync"
    | "blocks"
    | "session";
  input: I;
  output: O;
  rest: RestBinding | undefined;
  /** REST also takes it as a form with files in the field `attachments`. */
  form: boolean;
  /** May run beside others of its connection; all the rest wait for what that connection asked before. */
  concurrent: boolean;
}

export function define<I extends z.ZodType, O extends z.ZodType>(
  spec: Omit<CommandSpec<I, O>, "rest" | "form" | "concurrent"> & {
    rest?: [RestBinding["method"], string, 201?];
    form?: boolean;
    concurrent?: boolean;
  },
): CommandSpec<I, O> {
  const [method, path, status] = spec.rest ?? [];
  const rest: RestBinding | undefined = method === undefined || path === undefined
    ? undefined
    : { method, path: `/api/chat${path}`, status: status ?? 200 };
  return { ...spec, rest, form: spec.form ?? false, concurrent: spec.concurrent ?? false };
}

/** Of every list that goes on with a cursor. */
export const page = { limit: s.pageLimit, cursor: s.cursor.optional() };
export const nextCursor = z.string().nullable();
/** Of what may be read of a replica near by. */
export const minSeq = s.seq.optional().meta({
  description: "A seq of the room that you know of, by an answer or a push: what is answered is not older",
});
/** The answer of a command that has nothing to tell. */
export const done = z.strictObject({});
