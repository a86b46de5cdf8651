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
  /** A body of REST that works as it is, but for ids, to try the command with. */
  example: Partial<z.input<I>> | undefined;
  /** REST also takes it as a form with files in the field `attachments`. */
  form: boolean;
  /** May run beside others of its connection; all the rest wait for what that connection asked before. */
  concurrent: boolean;
}

export function define<I extends z.ZodType, O extends z.ZodType>(
  spec: Omit<CommandSpec<I, O>, "rest" | "example" | "form" | "concurrent"> & {
    rest?: [RestBinding["method"], string, 201?];
    example?: Partial<z.input<I>>;
    form?: boolean;
    concurrent?: boolean;
  },
): CommandSpec<I, O> {
  const [method, path, status] = spec.rest ?? [];
  const rest: RestBinding | undefined = method === undefined || path === undefined
    ? undefined
    : { method, path: `/api/chat${path}`, status: status ?? 200 };
  const { example, form = false, concurrent = false } = spec;
  return { ...spec, rest, example, form, concurrent };
}

/** In an example, where a reader puts an id of their own. */
export const EXAMPLE_ID = "01890a5d-ac96-774b-bcce-b302099a8057";
/** Of every list that goes on with a cursor. */
export const page = { limit: s.pageLimit, cursor: s.cursor.optional() };
export const nextCursor = z.string().nullable();
/** Of what may be read of a replica near by. */
export const minSeq = s.seq.optional().meta({
  description: "A seq of the room that you know of, by an answer or a push: what is answered is not older",
});
/** The answer of a command that has nothing to tell. */
export const done = z.strictObject({});
