/** A node that goes away: its Socket.IO clients are told, served until it closes, and come back elsewhere by themselves. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { openSocketIo, type SocketIoSocket, type Transports } from "../helpers/socketio_client.ts";
import { TwoNodes } from "../helpers/two_nodes.ts";

const TRANSPORTS: readonly Transports[] = [["websocket"], ["polling"]];

Deno.test("a drain sends clients elsewhere, where they recover: nothing is missed, nothing comes twice", async () => {
  await using nodes = await TwoNodes.start();
  const [going, staying] = [nodes.doors(0), nodes.doors(1)];
  const owner = await nodes.rest(1, "owner");
  const { room } = await owner.call("create_room", { name: "a room" });
  const roomId = room.id;
  const clients: { client: SocketIoSocket; reasons: string[] }[] = [];
  for (const transports of TRANSPORTS) {
    const token = await going.app.tokenFor(transports.join());
    const client = openSocketIo(going.app.url, token, {
      transports: [...transports],
      reconnection: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 50,
    });
    const reasons: string[] = [];
    client.socket.on("disconnect", (reason) => reasons.push(reason));
    await client.untilConnected();
    await client.call("join_room", { roomId });
    clients.push({ client, reasons });
  }
  try {
    await owner.call("send_message", { roomId, content: "before" });
    for (const { client } of clients) {
      await client.next("message_received");
      Object.assign(client.socket.io, { uri: staying.app.url }); // as a balancer would have it
    }
    const ending = nodes.end(0);
    for (const { client } of clients) await client.next("server_draining", ({ retryInMs }) => retryInMs >= 0);
    await owner.call("send_message", { roomId, content: "meanwhile" });
    await ending;
    await owner.call("send_message", { roomId, content: "after" });
    for (const { client, reasons } of clients) {
      await client.next("message_received", ({ message }) => message.content === "after");
      deepStrictEqual(reasons, ["transport close"]);
      strictEqual(client.socket.recovered, true);
      const contents = client.events("message_received").map(({ message }) => message.content);
      deepStrictEqual(contents, ["before", "meanwhile", "after"]);
    }
  } finally {
    for (const { client } of clients) await client.close();
  }
});
