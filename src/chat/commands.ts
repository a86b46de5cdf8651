/**
 * The single door of every transport: a command's name and unchecked input in, its answer as JSON out. Input is
 * parsed here, once; the rules below take only what parsed.
 */
import type { z } from "zod";
import { type CommandInput, type CommandName, commands, isCommandName } from "../protocol/commands.ts";
import { ChatError, invalidField } from "../protocol/errors.ts";
import { type JsonText, toJson } from "../protocol/json_text.ts";
import type { Actor, Call } from "./actor.ts";
import type { DirectMessages } from "./direct_messages.ts";
import type { Files } from "./files.ts";
import type { Listening } from "./listening.ts";
import type { Memberships } from "./memberships.ts";
import type { Messages } from "./messages.ts";
import type { Presence } from "./presence.ts";
import type { Rates } from "./rates.ts";
import type { ReadMarkers } from "./read_markers.ts";
import type { Rooms } from "./rooms.ts";
import type { Search } from "./search.ts";
import type { Synchronisation } from "./synchronisation.ts";
import type { Typing } from "./typing.ts";

export interface Rules {
  rooms: Rooms;
  memberships: Memberships;
  messages: Messages;
  directMessages: DirectMessages;
  files: Files;
  readMarkers: ReadMarkers;
  typing: Typing;
  presence: Presence;
  listening: Listening;
  synchronisation: Synchronisation;
  search: Search;
}

/** What clients ask without their users: it does not show that anybody is there. */
const BY_ITSELF: ReadonlySet<CommandName> = new Set(["authenticate", "sync", "watch_presence"]);

type Bindings = { readonly [N in CommandName]: (call: Call, ask: CommandInput<N>) => Promise<JsonText> };

export class Commands {
  readonly #bindings: Bindings;
  readonly #rates: Rates;
  readonly #presence: Presence;
  #running = 0;
  #draining = false;
  #whenIdle: (() => void) | undefined;

  constructor(rules: Rules, rates: Rates) {
    this.#rates = rates;
    const { rooms, memberships, messages, directMessages, readMarkers } = rules;
    const { typing, presence, listening, synchronisation, search, files } = rules;
    this.#presence = presence;
    this.#bindings = {
      authenticate,
      create_room: ({ actor }, ask) => rooms.create(actor, ask),
      list_rooms: ({ actor }, ask) => rooms.list(actor, ask),
      discover_rooms: ({ actor }, ask) => rooms.discover(actor, ask),
      get_room: ({ actor }, ask) => rooms.get(actor, ask),
      update_room: ({ actor }, ask) => rooms.update(actor, ask),
      delete_room: ({ actor }, ask) => rooms.delete(actor, ask),
      join_room: (call, ask) => listening.join(call, ask),
      leave_room: (call, ask) => listening.leave(call, ask),
      list_members: ({ actor }, ask) => memberships.list(actor, ask),
      add_member: ({ actor }, ask) => memberships.add(actor, ask),
      update_member: ({ actor }, ask) => memberships.update(actor, ask),
      remove_member: ({ actor }, ask) => memberships.remove(actor, ask),
      send_message: ({ actor }, ask) => messages.send(actor, ask),
      list_messages: ({ actor }, ask) => messages.list(actor, ask),
      search_messages: ({ actor }, ask) => search.search(actor, ask),
      update_message: ({ actor }, ask) => messages.edit(actor, ask),
      delete_message: ({ actor }, ask) => messages.delete(actor, ask),
      get_file_state: ({ actor }, ask) => files.state(actor, ask),
      get_file_link: ({ actor }, ask) => files.link(actor, ask),
      remove_file: ({ actor }, ask) => files.remove(actor, ask),
      mark_as_read: ({ actor }, ask) => readMarkers.mark(actor, ask),
      mark_as_unread: ({ actor }, ask) => readMarkers.markUnread(actor, ask),
      list_readers: ({ actor }, ask) => readMarkers.readers(actor, ask),
      unread_counts: ({ actor }) => readMarkers.counts(actor),
      typing: (call, ask) => typing.set(call, ask),
      update_status: ({ actor }, ask) => presence.update(actor, ask),
      user_status: ({ actor }, ask) => presence.status(actor, ask),
      online_count: () => presence.count(),
      watch_presence: (call, ask) => presence.watch(call, ask),
      send_direct_message: ({ actor }, ask) => directMessages.send(actor, ask),
      list_conversations: ({ actor }, ask) => directMessages.conversations(actor, ask),
      list_direct_messages: ({ actor }, ask) => directMessages.list(actor, ask),
      sync: (call, ask) => synchronisation.sync(call, ask),
      block_user: ({ actor }, ask) => directMessages.block(actor, ask.userId),
      unblock_user: ({ actor }, ask) => directMessages.unblock(actor, ask.userId),
      list_blocked: ({ actor }) => directMessages.blocked(actor),
    };
  }

  /** Rejects with a ChatError for whatever the client can cause. */
  async run(name: string, call: Call, input: unknown): Promise<JsonText> {
    if (call.connection?.isLeaving) throw goingAway();
    if (!isCommandName(name)) {
      throw new ChatError("unknown_command", `There is no command ${JSON.stringify(name.slice(0, 64))}`);
    }
    return await this.perform(call.actor, async () => {
      if (call.connection !== undefined && !BY_ITSELF.has(name)) this.#presence.asked(call.connection);
      call.connection?.begin();
      try {
        return await this.#run(name, call, input);
      } finally {
        call.connection?.done();
      }
    });
  }

  /** What is asked for outside of the table: it counts like a command, and a drain waits for it. */
  async perform<T>(actor: Actor, work: () => Promise<T>): Promise<T> {
    if (this.#draining) throw goingAway();
    this.#rates.takeCommand(actor.userId);
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      if (this.#running === 0) this.#whenIdle?.();
    }
  }

  /** Refuses what comes from now on; settles when all that is under way has its answer. */
  drain(): Promise<void> {
    this.#draining = true;
    return new Promise((resolve) => {
      this.#whenIdle = () => setTimeout(resolve, 0); // a turn for the answers to leave
      if (this.#running === 0) this.#whenIdle();
    });
  }

  #run<N extends CommandName>(name: N, call: Call, input: unknown): Promise<JsonText> {
    const binding: (call: Call, ask: CommandInput<N>) => Promise<JsonText> = this.#bindings[name];
    return binding(call, parseInput(commands[name].input, input) as CommandInput<N>);
  }
}

const goingAway = (): ChatError => new ChatError("unavailable", "This node is going away: try another");

async function authenticate(call: Call, ask: CommandInput<"authenticate">): Promise<JsonText> {
  if (call.renew === undefined) throw new ChatError("unknown_command");
  const actor = await call.renew(ask.token);
  return toJson({ userId: actor.userId, expiresAt: actor.expiresAt.toISOString() });
}

/** The first fault is told by its field; the rest ride in `details`. */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  refuseHiddenKeys(input);
  const read = schema.safeParse(input ?? {}, { reportInput: false });
  if (read.success) return read.data;
  const issues = read.error.issues.slice(0, 10).map((issue) => {
    const unknown = issue.code === "unrecognized_keys"
      ? issue.keys.slice(0, 3).map((key) => key.slice(0, 64))
      : [];
    const field = [...issue.path, ...unknown.slice(0, 1)].map(String).join(".").slice(0, 200);
    return { field, expected: unknown.length > 0 ? "no such field" : plain(issue.message) };
  });
  const first = issues[0] ?? { field: "", expected: "something else" };
  throw new ChatError(
    "invalid_request",
    first.field === "" ? first.expected : `${first.field}: ${first.expected}`,
    {
      ...first,
      ...(issues.length > 1 ? { issues } : {}),
    },
  );
}

/** What zod says of its own, in the way of ours: `Expected string, received nothing`. */
function plain(message: string): string {
  return message.replace(/^(?:Invalid|Too) [a-z]+: expected/, "Expected").replace(/undefined$/, "nothing");
}

/** zod refuses this key in an object, but passes over it in a record of the input. */
function refuseHiddenKeys(input: unknown): void {
  if (typeof input !== "object" || input === null) return;
  for (const [field, value] of Object.entries(input)) {
    if (typeof value === "object" && value !== null && Object.hasOwn(value, "__proto__")) {
      throw invalidField(`${field}.__proto__`.slice(0, 200), "no such field");
    }
  }
}
