/**
 * The REST door: one route for each command that has one, made from the table. A route gathers path, query and body
 * into the command's input and hands its JSON back; it decides nothing.
 */
import type { Context, Hono } from "hono";
import { z } from "zod";
import type { Actor, Call } from "../chat/actor.ts";
import type { Commands } from "../chat/commands.ts";
import { commands, type CommandSpec } from "../protocol/commands.ts";
import { ChatError, invalidField } from "../protocol/errors.ts";
import { readJson } from "./body.ts";

export interface RouteUses {
  commands: Commands;
  /** From the token of the request to its actor, projected. */
  actorOf: (token: string) => Promise<Actor>;
  maxBodyBytes: number;
}

export function addCommandRoutes(app: Hono, uses: RouteUses): void {
  const allowed = new Map<string, string[]>();
  // fixed paths before those with parameters: /rooms/discover is not a room
  const specs = Object.entries(commands).sort(([, a], [, b]) => countParams(a) - countParams(b));
  for (const [name, spec] of specs) {
    if (spec.rest === undefined) continue;
    const { method, path, status } = spec.rest;
    allowed.set(path, [...allowed.get(path) ?? [], method]);
    const types = queryTypes(spec);
    app.on(method, path, async (c) => {
      const actor = await uses.actorOf(requireBearer(c));
      const input = await gatherInput(c, types, uses.maxBodyBytes);
      const after: (() => void)[] = [];
      const call: Call = {
        actor,
        connection: undefined,
        acked: true,
        afterAnswer: (action) => after.push(action),
        renew: undefined,
      };
      const answer = await uses.commands.run(name, call, input);
      for (const action of after) action();
      return c.body(answer, status, { "content-type": "application/json; charset=UTF-8" });
    });
  }
  for (const [path, methods] of allowed) {
    app.all(path, () => {
      throw new ChatError("method_not_allowed", `Expected ${methods.join(" or ")}`, {
        allow: methods.join(", "),
      });
    });
  }
}

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
async function gatherInput(c: Context, types: QueryTypes, maxBytes: number): Promise<unknown> {
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

/** The JSON type of each field of the input, by name. */
type QueryTypes = ReadonlyMap<string, string | undefined>;

function queryTypes(spec: CommandSpec): QueryTypes {
  const { properties = {} } = z.toJSONSchema(spec.input, { io: "input", unrepresentable: "any" });
  return new Map(
    Object.entries(properties).map((
      [name, schema],
    ) => [name, typeof schema === "object" ? String(schema.type) : undefined]),
  );
}

/** A query knows text only: what the input wants as a number or a truth is read as such. */
function readQuery(c: Context, types: QueryTypes): Record<string, unknown> {
  const input: Record<string, unknown> = Object.create(null);
  for (const [name, values] of Object.entries(c.req.queries())) {
    const [text] = values;
    if (text === undefined || values.length > 1) throw invalidField(name.slice(0, 64), "Expected once");
    const type = types.get(name);
    if (type === "integer" || type === "number") {
      input[name] = /^-?\d{1,16}$/.test(text) ? Number(text) : text;
    } else if (type === "boolean") input[name] = text === "true" ? true : text === "false" ? false : text;
    else input[name] = text;
  }
  return input;
}
