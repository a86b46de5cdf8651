/**
 * Clients that go from polling to WebSocket while a room is busy, and send into it themselves: every event comes once and
 * in order, and everything that they sent is in the room once, as they sent it.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { startDoors } from "../helpers/doors.ts";
import { openSocketIo, type SocketIoSocket } from "../helpers/socketio_client.ts";

const CLIENTS = 12;
const EACH_SENDS = 30;
/** For an answer that would never come. */
const WAIT_MS = 20_000;

const transportOf = ({ socket }: SocketIoSocket): string => socket.io.engine.transport.name;

Deno.test("an upgrade in the middle of a busy room loses, doubles and reorders nothing, in either direction", async () => {
  await using doors = await startDoors();
  const owner = await doors.rest.as("owner");
  const { room } = await owner.call("create_room", { name: "busy", maxMembers: 100 });
  const roomId = room.id;
  let isOver = false;
  const noise = (async () => {
    for (let n = 0; !isOver; n++) await owner.call("send_message", { roomId, content: `noise ${n}` });
  })();
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => {
    const socket = openSocketIo(doors.app.url, await doors.app.tokenFor(`user ${i}`));
    await socket.until(() => socket.socket.connected, "the connection", WAIT_MS);
    const joined = socket.socket.timeout(WAIT_MS).emitWithAck("join_room", { roomId });
    const answers = Array.from({ length: EACH_SENDS }, async (_, n) => {
      await new Promise((resolve) => setTimeout(resolve, n * 3)); // before, in and after the upgrade
      const ask = { roomId, content: `${i} ${n}` };
      const { message } = await socket.socket.timeout(WAIT_MS).emitWithAck("send_message", ask);
      strictEqual(message.content, ask.content);
    });
    return { socket, answers: Promise.all(answers), since: (await joined).position.seq as number };
  }));
  try {
    for (const { answers, socket } of sockets) {
      await answers;
      await socket.until(() => transportOf(socket) === "websocket", "the upgrade");
    }
    isOver = true;
    await noise;
    const { message: last } = await owner.call("send_message", { roomId, content: "last" });
    for (const { socket, since } of sockets) {
      await socket.next("message_received", ({ message }) => message.id === last.id);
      const seqs = socket.pushes.filter(({ data }) => data.roomId === roomId && data.seq !== undefined)
        .map(({ data }) => data.seq);
      deepStrictEqual(seqs, Array.from({ length: last.seq - since }, (_, i) => since + 1 + i));
    }
    const heard = sockets[0]!.socket.events("message_received").map(({ message }) => message);
    for (let i = 1; i < CLIENTS; i++) {
      const own = heard.filter(({ senderId }) => senderId === `user ${i}`).map(({ content }) => content);
      strictEqual(new Set(own).size, own.length);
    }
  } finally {
    isOver = true;
    await noise;
    for (const { socket } of sockets) await socket.close();
  }
});
