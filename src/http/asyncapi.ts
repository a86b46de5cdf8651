/**
 * The AsyncAPI 3 document of the native socket, made from the command, event and close tables. It is written from
 * the server's side, as AsyncAPI means it: `receive` is a command that a client sends, with its reply; `send` is
 * an event that we push. Socket.IO carries the same names and data in its own frames. REST is in openapi.ts.
 */
import { closeCodes, type CloseReason } from "../protocol/close_codes.ts";
import { commands, type CommandSpec } from "../protocol/commands.ts";
import { events, type EventSpec } from "../protocol/events.ts";
import * as limits from "../protocol/limits.ts";
import { errorBody, type JsonSchema, SchemaComponents } from "./json_schemas.ts";

type Json = Record<string, unknown>;

const CHANNEL = { $ref: "#/channels/socket" };
const FAILED = "failed";
const DEVELOPMENT_SERVER = "http://localhost:3001";

const CLOSE_TEXTS: Record<CloseReason, string> = {
  normal: "Nothing is wrong",
  too_large: "A frame was larger than the server takes",
  restart: "The node is going away, or failed: come back after a random moment",
  slow_consumer: "You read slower than your rooms speak: come back and catch up",
  too_much: "Too many commands were waiting",
  token: "No token in time, not a valid one, or it ended",
  revoked: "The token was withdrawn",
};

const DESCRIPTION = `
JSON in text frames. The REST side of the same commands is described by the OpenAPI document beside this one; with
Socket.IO the same events carry the same data, and a reply is the acknowledgement.

## Frames

| frame | shape |
| --- | --- |
| command, client to server | \`{"event": "send_message", "data": {…}, "id": 7}\` |
| reply, server to client | \`{"ack": 7, "data": {…}}\` or \`{"ack": 7, "error": {…}}\` |
| push, server to client | \`{"event": "message_received", "data": {…}}\` |

\`id\` is yours to choose. A command without one gets no reply; if it fails, the \`error\` event tells. With the
subprotocol \`${limits.SUBPROTOCOL_BATCH}\` a frame may be an array of such objects, both ways.

## Token

Give it in one of three ways, never in the address:

1. \`Authorization: Bearer <jwt>\` with the upgrade request;
2. a second subprotocol beside \`${limits.SUBPROTOCOL}\`: \`${limits.SUBPROTOCOL_BEARER}<jwt>\` (browsers);
3. \`authenticate\` as the first command, within ${limits.AUTHENTICATE_WITHIN_MS / 1000} s.

A connection that is refused is answered as REST would: 401 for the token, 429 for too many sockets or for who was
cut twice in a minute, 503 for a node that is busy or going away; \`Retry-After\` says when to come again.

The first push is \`hello\`. Before the token ends \`token_expiring\` asks for \`authenticate\` with a fresh one.

## Order

A room's events carry \`after\` and \`seq\`: with the event everything in (after, seq] is known. If \`after\` is beyond
your position, ask with \`join_room\` and \`since\`, or \`sync\`; if \`seq\` is at or below it, drop the event. Events of
your own inbox carry the same as \`inbox\`.

## Close codes

| code | name | come back by yourself | why |
| --- | --- | --- | --- |
${
  closeReasons().map(({ code, name, reconnect, text }) =>
    `| ${code} | ${name} | ${reconnect ? "yes" : "no"} | ${text} |`
  ).join("\n")
}
`.trim();

export function asyncApiDocument(options: { serverUrl?: string; version: string }): Json {
  const components = new SchemaComponents();
  const error = components.refer(errorBody, "output");
  const messages: Record<string, Json> = {
    [FAILED]: message("The command failed", reply({ error }), "ack"),
  };
  const operations: Record<string, Json> = {};
  for (const [name, command] of Object.entries<CommandSpec>(commands)) {
    messages[name] = message(command.summary, commandFrame(name, command, components), "id");
    const data = components.refer(command.output, "output");
    messages[`${name}.reply`] = message(`The answer to ${name}`, reply({ data }), "ack");
    operations[name] = {
      action: "receive",
      summary: command.summary,
      tags: [{ name: command.tag }],
      channel: CHANNEL,
      messages: [inChannel(name)],
      reply: { channel: CHANNEL, messages: [inChannel(`${name}.reply`), inChannel(FAILED)] },
    };
  }
  for (const [name, event] of Object.entries<EventSpec>(events)) {
    const frame = frameOf({ event: { const: name }, data: components.refer(event.data, "output") });
    messages[name] = message(event.summary, frame);
    operations[name] = {
      action: "send",
      summary: event.summary,
      tags: [{ name: "events" }],
      channel: CHANNEL,
      messages: [inChannel(name)],
    };
  }
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Scroll Chat",
      version: options.version,
      description: DESCRIPTION,
      license: { name: "MIT" },
    },
    defaultContentType: "application/json",
    servers: { chat: server(options.serverUrl ?? DEVELOPMENT_SERVER) },
    channels: { socket: socketChannel(Object.keys(messages)) },
    operations,
    components: { messages, schemas: components.schemas, securitySchemes: SECURITY_SCHEMES },
  };
}

const SECURITY_SCHEMES = {
  bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
  subprotocol: {
    type: "httpApiKey",
    in: "header",
    name: "Sec-WebSocket-Protocol",
    description: `${limits.SUBPROTOCOL}, ${limits.SUBPROTOCOL_BEARER}<jwt>`,
  },
};

function server(url: string): Json {
  const { host, protocol, pathname } = new URL(url);
  return {
    host,
    protocol: protocol === "https:" ? "wss" : "ws",
    ...(pathname === "/" ? {} : { pathname: pathname.replace(/\/$/, "") }),
    description: "Or with neither: `authenticate` as the first command",
    security: [
      { $ref: "#/components/securitySchemes/bearer" },
      { $ref: "#/components/securitySchemes/subprotocol" },
    ],
  };
}

function socketChannel(messageNames: string[]): Json {
  const header = (description: string): Json => ({ type: "string", description });
  return {
    address: "/ws",
    title: "The socket",
    servers: [{ $ref: "#/servers/chat" }],
    messages: Object.fromEntries(
      messageNames.map((name) => [name, { $ref: `#/components/messages/${name}` }]),
    ),
    bindings: {
      ws: {
        method: "GET",
        headers: {
          type: "object",
          properties: {
            "Authorization": header("Bearer and the token"),
            "Sec-WebSocket-Protocol": header(
              `${limits.SUBPROTOCOL} or ${limits.SUBPROTOCOL_BATCH}, and perhaps ${limits.SUBPROTOCOL_BEARER}<jwt>`,
            ),
          },
        },
        bindingVersion: "0.1.0",
      },
    },
    "x-close-codes": closeReasons(),
  };
}

function closeReasons(): { code: number; name: string; reconnect: boolean; text: string }[] {
  return (Object.keys(closeCodes) as CloseReason[]).map((name) => ({
    ...closeCodes[name],
    name,
    text: CLOSE_TEXTS[name],
  }));
}

/** `data` may be left out where nothing in it is required; other keys of the frame are not looked at. */
function commandFrame(name: string, command: CommandSpec, components: SchemaComponents): JsonSchema {
  const data = components.refer(command.input, "input");
  const isRequired = Array.isArray(data.required) && data.required.length > 0;
  return {
    type: "object",
    properties: { event: { const: name }, data, id: commandId() },
    required: ["event", ...isRequired ? ["data"] : []],
  };
}

function reply(outcome: { data: JsonSchema } | { error: JsonSchema }): JsonSchema {
  return frameOf({ ack: commandId(), ...outcome });
}

function frameOf(properties: Record<string, JsonSchema>): JsonSchema {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

function commandId(): JsonSchema {
  return { oneOf: [{ type: "integer" }, { type: "string", maxLength: 64 }] };
}

function message(summary: string, payload: JsonSchema, correlatedBy?: "id" | "ack"): Json {
  const correlation = correlatedBy === undefined
    ? {}
    : { correlationId: { location: `$message.payload#/${correlatedBy}` } };
  return { summary, payload, ...correlation };
}

function inChannel(name: string): Json {
  return { $ref: `#/channels/socket/messages/${name}` };
}
