/** Engine.IO 4: packets by WebSocket, each in a frame of its own. */
import { deepStrictEqual, ok } from "node:assert/strict";
import { frame, OPCODE, toBytes } from "../../helpers/raw_client.ts";
import { MAX_PAYLOAD, type Rules } from "./echo_server.ts";
import { openRaw, type Packet, PacketSocket } from "./packet_socket.ts";
import { address } from "./polling.ts";

type Sent = string | Uint8Array<ArrayBuffer>;

const comesBack = (...packets: Sent[]): (echo: { engine: string }) => Promise<void> => async ({ engine }) => {
  await using socket = await PacketSocket.session(engine);
  for (const packet of packets) socket.send(packet);
  const came: Packet[] = await socket.take(packets.length);
  deepStrictEqual(came, packets);
};

const closesTheSocket = (packet: Sent): (echo: { engine: string }) => Promise<void> => async ({ engine }) => {
  await using socket = await PacketSocket.session(engine);
  socket.send(packet);
  await socket.untilClosed();
};

export const webSocketRules: Rules = {
  "a text packet": comesBack("4hello"),
  "a binary packet is bytes alone": comesBack(Uint8Array.from([1, 2, 3, 4])),
  "bytes that look like packets are bytes": comesBack(toBytes("1"), toBytes("2probe"), toBytes("4a")),
  "an empty binary packet": comesBack(new Uint8Array(0)),
  "text and binary packets, in their order": comesBack(
    "4a",
    Uint8Array.of(0),
    "4b",
    Uint8Array.of(255),
    "4c",
  ),
  "text is UTF-8, beyond the basic plane too": comesBack("4utf 8 string: äöü € 漢字 🧑‍🤝‍🧑"),
  "a message may be empty": comesBack("4", "4a"),
  "a packet is a frame: the separator of polling means nothing": comesBack("4a\x1e4b", "4c"),
  "b and base64 is for polling: text stays text": comesBack("4bAQIDBA=="),
  "500 packets, each in its frame, in their order": comesBack(
    ...Array.from({ length: 500 }, (_, i) => `4${i}`),
  ),
  "a packet of 500,000 bytes": comesBack(new Uint8Array(500_000).fill(7), `4${"ä".repeat(250_000)}`),

  "a message in several fragments is one packet": async ({ engine }) => {
    using client = await openRaw(address(engine, { transport: "websocket" }));
    await client.write(frame({ payload: "4he", fin: false }));
    await client.write(frame({ payload: "llo", opcode: OPCODE.continuation }));
    const texts = () => client.frames.map(({ payload }) => new TextDecoder().decode(payload));
    await client.until(() => texts().includes("4hello"), "the message");
  },

  "a packet of more than maxPayload closes the socket": async ({ engine }) => {
    await using socket = await PacketSocket.session(engine);
    socket.send(`4${"a".repeat(MAX_PAYLOAD)}`);
    await socket.untilClosed();
    await socket.next().then((packet) => ok(false, String(packet).slice(0, 50)), () => {});
  },

  "a packet of no known type closes the socket": closesTheSocket("abc"),
  "a packet of type 7 closes the socket": closesTheSocket("7"),
  "an empty text frame closes the socket": closesTheSocket(""),
  "a ping is the server's: one of the client closes the socket": closesTheSocket("2"),
  "a probe outside of an upgrade closes the socket": closesTheSocket("2probe"),

  "a noop is taken and means nothing": async ({ engine }) => {
    await using socket = await PacketSocket.session(engine);
    socket.send("6");
    await socket.requireAlive();
  },
};
