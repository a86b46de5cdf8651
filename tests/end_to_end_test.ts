/**
 * Two users, from their first token to the end of their room, with what every browser has: fetch and WebSocket.
 * It reads like the usage examples of the specification, and shows that they work as they stand.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { startTestApp } from "./helpers/test_app.ts";

// deno-lint-ignore no-explicit-any -- a client reads JSON
type Json = any;

/** A socket as a page would write it: commands with an id, and the pushes so far. */
class Socket {
  readonly #socket: WebSocket;
  readonly #heard: Json[] = [];
  #wake: () => void = () => {};
  #id = 0;

  constructor(url: string, token: string) {
    this.#socket = new WebSocket(`${url.replace("http", "ws")}/ws`, ["scroll-chat.v1", `bearer.${token}`]);
    this.#socket.onmessage = ({ data }) => {
      this.#heard.push(JSON.parse(data));
      this.#wake();
    };
  }

  /** The data of the ack. */
  async emit(event: string, data: Json): Promise<Json> {
    const id = ++this.#id;
    this.#socket.send(JSON.stringify({ event, data, id }));
    const { data: answer, error } = await this.#first(({ ack }) => ack === id);
    if (error !== undefined) throw new Error(`${error.code}: ${error.message}`);
    return answer;
  }

  /** The data of the first push of that name, once. */
  async on(event: string): Promise<Json> {
    const push = await this.#first((each) => each.event === event);
    this.#heard.splice(this.#heard.indexOf(push), 1);
    return push.data;
  }

  async #first(fits: (envelope: Json) => boolean): Promise<Json> {
    for (;;) {
      const found = this.#heard.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.#socket.close();
    await closed;
  }
}

Deno.test("two users make a study group, talk, correct themselves, write to each other, and part", async () => {
  await using app = await startTestApp();
  const { url } = app;

  async function request(token: string, method: string, path: string, body?: Json): Promise<Json> {
    const response = await fetch(`${url}/api/chat${path}`, {
      method,
      headers: { "Authorization": `Bearer ${token}`, "Content-Type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    ok(response.ok, `${method} ${path}: ${response.status}`);
    return await response.json();
  }
  async function tokenOf(sub: string, name: string): Promise<string> {
    const response = await fetch(`${url}/dev/token`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sub, name }),
    });
    return (await response.json()).token;
  }

  const [lydia, silas] = [await tokenOf("lydia", "Lydia of Thyatira"), await tokenOf("silas", "Silas")];

  // Lydia makes a room by REST, as in the specification
  const { room } = await request(lydia, "POST", "/rooms", {
    name: "Study Group",
    type: "STUDY_GROUP",
    isPrivate: false,
  });
  deepStrictEqual([room.name, room.type, room.memberCount], ["Study Group", "STUDY_GROUP", 1]);

  // Silas finds it and joins by socket; Lydia sees him come
  const [lydias, silass] = [new Socket(url, lydia), new Socket(url, silas)];
  strictEqual((await lydias.on("hello")).userId, "lydia");
  strictEqual((await silass.on("hello")).userId, "silas");
  await lydias.emit("join_room", { roomId: room.id });
  const { rooms } = await request(silas, "GET", "/rooms/discover?query=study");
  deepStrictEqual(rooms.map(({ id }: Json) => id), [room.id]);
  strictEqual((await silass.emit("join_room", { roomId: room.id })).room.memberCount, 2);
  const { member } = await lydias.on("user_joined");
  deepStrictEqual([member.userId, member.name, member.role], ["silas", "Silas", "MEMBER"]);

  // a message by socket, its answer by REST; both are heard by both
  const { message: first } = await silass.emit("send_message", {
    roomId: room.id,
    content: "Hello, wrold!",
    type: "TEXT",
  });
  deepStrictEqual((await lydias.on("message_received")).message, first);
  await silass.on("message_received");
  const { message: answer } = await request(lydia, "POST", "/messages", {
    roomId: room.id,
    content: "Welcome, Silas 🕊",
    replyToId: first.id,
    clientMessageId: "from-lydia-1",
  });
  deepStrictEqual((await silass.on("message_received")).message, answer);
  await lydias.on("message_received");

  // Silas corrects his; Lydia sends hers again, for she is not sure that it went out
  const { message: corrected } = await request(silas, "PUT", `/messages/${first.id}`, {
    content: "Hello, world!",
  });
  deepStrictEqual((await lydias.on("message_updated")).message, corrected);
  const again = {
    roomId: room.id,
    content: "Welcome, Silas 🕊",
    replyToId: first.id,
    clientMessageId: "from-lydia-1",
  };
  deepStrictEqual((await lydias.emit("send_message", again)).message, answer);

  // both read, and the history is what both have seen
  await request(silas, "POST", `/messages/${answer.id}/read`);
  const listed = await request(silas, "GET", "/rooms");
  deepStrictEqual(listed.rooms.map(({ unread }: Json) => unread.count), [0]);
  const { messages } = await request(lydia, "GET", `/rooms/${room.id}/messages?limit=10`);
  deepStrictEqual(messages, [corrected, answer]);
  const found = await request(lydia, "GET", "/messages/search?query=hello");
  deepStrictEqual(found.messages, [corrected]);

  // a word between the two
  const { message: direct } = await request(silas, "POST", "/direct-messages", {
    recipientId: "lydia",
    content: "Thank you",
  });
  deepStrictEqual((await lydias.on("direct_message_received")).message, direct);
  deepStrictEqual((await silass.on("direct_message_received")).message, direct);
  await lydias.emit("mark_as_read", { messageId: direct.id });
  const conversation = await request(silas, "GET", "/direct-messages/lydia");
  deepStrictEqual(conversation.messages.map(({ content, isRead }: Json) => [content, isRead]), [[
    "Thank you",
    true,
  ]]);

  // Silas was away: his socket went, words were said, and he catches up from where he was
  const { members } = await request(lydia, "GET", `/rooms/${room.id}/members`);
  deepStrictEqual(members.map(({ userId }: Json) => userId), ["lydia", "silas"]);
  const { position } = await silass.emit("join_room", { roomId: room.id });
  await silass.close();
  await lydias.emit("send_message", { roomId: room.id, content: "Are you there?" });
  await lydias.emit("delete_message", { messageId: answer.id });
  const back = new Socket(url, silas);
  await back.on("hello");
  const missed = await back.emit("join_room", { roomId: room.id, since: position });
  strictEqual(missed.reset, false);
  deepStrictEqual(missed.messages.map(({ content, isDeleted }: Json) => [content, isDeleted]), [[
    "Are you there?",
    false,
  ], ["", true]]);

  // he leaves, she closes the room, and nothing of it can be read any more
  await request(silas, "POST", `/rooms/${room.id}/leave`);
  strictEqual((await lydias.on("user_left")).userId, "silas");
  strictEqual((await back.on("room_removed")).reason, "left");
  await request(lydia, "DELETE", `/rooms/${room.id}`);
  strictEqual((await lydias.on("room_deleted")).roomId, room.id);
  const gone = await fetch(`${url}/api/chat/rooms/${room.id}/messages`, {
    headers: { "Authorization": `Bearer ${lydia}` },
  });
  deepStrictEqual([gone.status, (await gone.json()).error.code], [404, "not_found"]);
  await Promise.all([lydias.close(), back.close()]);
});
