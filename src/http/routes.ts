/**
 * The REST door: one route for each command that has one, made from the table, and the two that carry bytes. A route
 * gathers path, query and body into the command's input and hands its JSON back; it decides nothing.
 */
import type { Context, Hono } from "hono";
import type { Actor, Call } from "../chat/actor.ts";
import { type Commands, parseInput } from "../chat/commands.ts";
import type { Files } from "../chat/files.ts";
import { commands, type CommandSpec } from "../protocol/commands.ts";
import { ChatError, invalidField } from "../protocol/errors.ts";
import { fileCommands, fileRoutes } from "../protocol/file_commands.ts";
import { readJson } from "./body.ts";
import { sendFile, userOfLink } from "./downloads.ts";
import { isForm } from "./form.ts";
import { type FieldTypes, fieldTypes, readText } from "./text_input.ts";
import { sendForm, uploadFile, type UploadUses } from "./uploads.ts";

export interface RouteUses extends UploadUses {
  commands: Commands;
  files: Files;
  /** From the token of the request to its actor, projected. */
  actorOf: (token: string) => Promise<Actor>;
}

export function addCommandRoutes(app: Hono, uses: RouteUses): void {
  const allowed = new Map<string, string[]>();
  // fixed paths before those with parameters: /rooms/discover is not a room
  const specs = Object.entries(commands).sort(([, a], [, b]) => countParams(a) - countParams(b));
  for (const [name, spec] of specs) {
    if (spec.rest === undefined) continue;
    const { method, path, status } = spec.rest;
    allowed.set(path, [...allowed.get(path) ?? [], method]);
    const types = fieldTypes(spec.input);
    app.on(method, path, async (c) => {
      const actor = await uses.actorOf(requireBearer(c));
      const after: (() => void)[] = [];
      const call: Call = {
        actor,
        connection: undefined,
        acked: true,
        afterAnswer: (action) => after.push(action),
        renew: undefined,
      };
      const run = (input: unknown) => uses.commands.run(name, call, input);
      const answer = spec.form && isForm(c.req.raw)
        ? await uses.commands.perform(actor, () => sendForm(c, actor, { ...uses, types, run }))
        : await run(await gatherInput(c, types, uses.maxBodyBytes));
      for (const action of after) action();
      return c.body(answer, status, JSON_TYPE);
    });
  }
  addFileRoutes(app, uses);
  for (const { rest: { method, path } } of Object.values(fileRoutes)) {
    allowed.set(path, [...allowed.get(path) ?? [], method]);
  }
  for (const [path, methods] of allowed) {
    app.all(path, () => {
      throw new ChatError("method_not_allowed", `Expected ${methods.join(" or ")}`, {
        allow: methods.join(", "),
      });
    });
  }
}

/** Bytes, in and out; a link needs no token. */
function addFileRoutes(app: Hono, uses: RouteUses): void {
  const { upload_file, get_file } = fileRoutes;
  app.on(upload_file.rest.method, upload_file.rest.path, async (c) => {
    const actor = await uses.actorOf(requireBearer(c));
    const answer = await uses.commands.perform(actor, () => uploadFile(c, actor, uses));
    return c.body(answer, upload_file.rest.status, JSON_TYPE);
  });
  app.on(get_file.rest.method, get_file.rest.path, async (c) => {
    const { fileId } = parseInput(fileCommands.get_file_link.input, c.req.param());
    if (c.req.header("authorization") === undefined && c.req.query("signature") !== undefined) {
      const userId = await userOfLink(c, uses.files, fileId);
      return await sendFile(c.req.raw, await uses.files.open(userId, fileId));
    }
    const actor = await uses.actorOf(requireBearer(c));
    const file = await uses.commands.perform(actor, () => uses.files.open(actor.userId, fileId));
    return await sendFile(c.req.raw, file);
  });
}

const JSON_TYPE = { "content-type": "application/json; charset=UTF-8" };

const countParams = (spec: CommandSpec): number => spec.rest?.path.split("/:").length ?? 0;

function requireBearer(c: Context): string {
  const header = c.req.header("authorization");
  if (header === undefined) throw new ChatError("unauthenticated");
  const token = /^Bearer ([^\s]+)$/i.exec(header)?.[1];
  if (token === undefined) {
    throw new ChatError("unauthenticated", "Authorization: Expected Bearer and a token");
  }
  return token;
}

/** Path parameters win by refusing to be named twice. */
async function gatherInput(c: Context, types: FieldTypes, maxBytes: number): Promise<unknown> {
  const path = c.req.param() as Record<string, string>;
  const hasBody = c.req.method !== "GET" && c.req.method !== "DELETE";
  const rest = hasBody ? await readJson(c.req.raw, maxBytes) : readQuery(c, types);
  if (hasBody && Object.keys(c.req.queries()).length > 0) {
    throw new ChatError("invalid_request", "Expected no query here");
  }
  if (typeof rest !== "object" || rest === null || Array.isArray(rest)) {
    throw new ChatError("invalid_request", "Expected a JSON object as body");
  }
  for (const name of Object.keys(path)) {
    if (Object.hasOwn(rest, name)) throw invalidField(name, "Expected in the path only");
  }
  return { ...rest, ...path };
}

/** A query knows text only. */
function readQuery(c: Context, types: FieldTypes): Record<string, unknown> {
  const input: Record<string, unknown> = Object.create(null);
  for (const [name, texts] of Object.entries(c.req.queries())) {
    if (texts.length > 1) throw invalidField(name.slice(0, 64), "Expected once");
    input[name] = readText(types, name, texts);
  }
  return input;
}
