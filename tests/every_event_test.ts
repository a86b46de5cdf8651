/**
 * Every event of the event table, on the wire: two people with plain sockets do what brings each about, and every frame is
 * held against the AsyncAPI document that the server itself gives away. An event that was never seen fails the test.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { deepStrictEqual, ok } from "node:assert/strict";
import { events } from "../src/protocol/events.ts";
import { ClamavRest } from "./helpers/clamav_rest.ts";
import { Clamd } from "./helpers/clamd.ts";
import type { TestApp, TestClaims } from "./helpers/test_app.ts";
import { startFilesApp } from "./helpers/uploads.ts";

// deno-lint-ignore no-explicit-any -- a client reads JSON
type Json = any;

/** Those that the specification names. */
const SPECIFIED = [
  ...["room_joined", "room_left", "message_received", "direct_message_received", "user_joined", "user_left"],
  ...["typing_indicator", "read_receipt", "status_updated", "error"],
];

/** Says what does not fit of a frame, by the document's own messages. */
class Document {
  readonly #ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true, strict: false });
  readonly events: string[];

  constructor(document: Json) {
    formats.default(this.#ajv);
    this.#ajv.addSchema(document, "asyncapi");
    this.events = Object.values<Json>(document.operations).filter(({ action }) => action === "send")
      .flatMap(({ messages }) => messages.map(({ $ref }: Json) => $ref.split("/").at(-1)));
  }

  faultsOf(message: string, frame: Json): string[] {
    const validate = this.#ajv.getSchema(`asyncapi#/components/messages/${message}/payload`);
    if (validate === undefined) return [`${message} is not in the document`];
    if (validate(frame)) return [];
    return (validate.errors ?? []).map((each) => `${message}${each.instancePath} ${each.message}`);
  }
}

/** A socket as anybody would write it. */
class Client {
  readonly seen = new Set<string>();
  readonly faults: string[] = [];
  readonly closed: Promise<unknown>;
  readonly #socket: WebSocket;
  readonly #frames: Json[] = [];
  readonly #sent = new Map<number, string>();
  #wake: (() => void)[] = [];

  constructor(url: string, token: string, document: Document) {
    this.#socket = new WebSocket(`${url.replace("http", "ws")}/ws`, ["scroll-chat.v1", `bearer.${token}`]);
    this.closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.#socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      this.#frames.push(frame);
      if (frame.event !== undefined) this.seen.add(frame.event);
      const message = frame.event ??
        (frame.error === undefined ? `${this.#sent.get(frame.ack)}.reply` : "failed");
      this.faults.push(...document.faultsOf(message, frame));
      for (const wake of this.#wake.splice(0)) wake();
    };
  }

  /** The data of the reply. */
  async ask(event: string, data: Json = {}): Promise<Json> {
    const id = this.#sent.size + 1;
    this.#sent.set(id, event);
    this.#socket.send(JSON.stringify({ event, data, id }));
    const { data: answer, error } = await this.#first(({ ack }) => ack === id);
    if (error !== undefined) throw new Error(`${event}: ${error.code}: ${error.message}`);
    return answer;
  }

  /** Without an id: events tell. */
  say(event: string, data: Json = {}): void {
    this.#socket.send(JSON.stringify({ event, data }));
  }

  async hear(event: string, fits: (data: Json) => boolean = () => true): Promise<Json> {
    return (await this.#first((frame) => frame.event === event && fits(frame.data))).data;
  }

  async #first(fits: (frame: Json) => boolean): Promise<Json> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      const found = this.#frames.find(fits);
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`Never came: ${fits}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake.push(resolve);
      const timer = setTimeout(resolve, 1_000);
      await promise;
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.closed;
  }
}

async function open(app: TestApp, document: Document, user: string, claims?: TestClaims): Promise<Client> {
  const client = new Client(app.url, await app.tokenFor(user, claims), document);
  await client.hear("hello");
  return client;
}

/** A room's whole life, and a friendship's. */
async function live(
  ada: Client,
  bob: Client,
  rejoined: () => Promise<Client>,
  upload: (roomId: string) => Promise<string>,
): Promise<void> {
  const { room } = await ada.ask("create_room", { name: "all of it", type: "PRIVATE" });
  const roomId = room.id;
  await ada.hear("room_created");
  ada.say("join_room", { roomId });
  await ada.hear("room_joined");
  await ada.ask("add_member", { roomId, userId: "bob" });
  await Promise.all([ada.hear("user_joined"), bob.hear("room_added")]);
  await bob.ask("join_room", { roomId });
  await ada.hear("status_updated", ({ userId }) => userId === "ada");
  await bob.ask("update_status", { status: "busy", customStatus: { text: "reading", emoji: "📖" } });
  await ada.hear("status_updated", ({ userId, status }) => userId === "bob" && status === "busy");
  await bob.ask("typing", { roomId, isTyping: true });
  await ada.hear("typing_indicator", ({ isTyping }) => isTyping);
  const { message } = await bob.ask("send_message", { roomId, content: "@ada hello" });
  await ada.hear("typing_indicator", ({ isTyping }) => !isTyping);
  await ada.hear("message_received");
  await ada.ask("mark_as_read", { messageId: message.id });
  await Promise.all([bob.hear("read_receipt"), ada.hear("unread_updated")]);
  await bob.ask("update_message", { messageId: message.id, content: "hello" });
  await ada.hear("message_updated");
  await ada.ask("send_message", { roomId, attachmentIds: [await upload(roomId)] });
  await Promise.all([bob.hear("attachment_updated"), ada.hear("file_scanned")]);
  await bob.ask("delete_message", { messageId: message.id });
  await ada.hear("message_deleted");
  await ada.ask("update_member", { roomId, userId: "bob", role: "MODERATOR" });
  await Promise.all([ada.hear("member_updated"), bob.hear("membership_updated")]);
  await ada.ask("update_room", { roomId, name: "nearly all of it" });
  await bob.hear("room_updated");
  await ada.ask("send_direct_message", { recipientId: "bob", content: "psst" });
  await Promise.all([ada.hear("direct_message_received"), bob.hear("direct_message_received")]);
  bob.say("leave_room", { roomId });
  await bob.hear("room_left");
  await bob.ask("leave_room", { roomId, membership: true });
  await Promise.all([ada.hear("user_left"), bob.hear("room_removed")]);
  await ada.ask("delete_room", { roomId });
  await ada.hear("room_deleted");
  ada.say("no_such_command");
  await ada.hear("error");
  const expiring = await rejoined();
  await expiring.hear("token_expiring");
  await expiring.close();
}

Deno.test("every event comes over the wire as the AsyncAPI document says", async () => {
  await using clamd = await Clamd.start();
  await using scanner = new ClamavRest(clamd);
  scanner.fault = { is: "slow", ms: 200 }; // so that the message is there first
  await using files = await startFilesApp({ env: { CLAMAV_REST_URL: scanner.url } });
  const { app } = files;
  const answer = await fetch(`${app.url}/api/chat/asyncapi.json`);
  const document = new Document(await answer.json());
  const clients: Client[] = [];
  const opened = async (user: string, claims?: TestClaims): Promise<Client> => {
    const client = await open(app, document, user, claims);
    clients.push(client);
    return client;
  };
  const [ada, bob] = [await opened("ada"), await opened("bob")];
  const uploader = await files.as("ada");
  const upload = async (roomId: string) => (await uploader.upload(roomId, "a file")).id;
  await live(ada, bob, () => opened("cyd", { expiresInSeconds: 4 }), upload);
  await app.app.drain(); // the node goes, and says so
  await Promise.all([ada.hear("server_draining"), ada.closed, bob.closed]);
  deepStrictEqual(clients.flatMap(({ faults }) => faults), []);
  const seen = new Set(clients.flatMap((client) => [...client.seen]));
  const table = Object.keys(events);
  deepStrictEqual(table.filter((event) => !seen.has(event)), [], "never seen");
  deepStrictEqual(document.events.toSorted(), table.toSorted());
  deepStrictEqual(SPECIFIED.filter((event) => !seen.has(event)), [], "of the specification, never seen");
  ok(document.faultsOf("typing_indicator", { event: "typing_indicator", data: {} }).length > 0);
});
