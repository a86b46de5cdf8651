/** Socket.IO 5: acknowledgements, asked for and unasked. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Rules } from "./echo_server.ts";
import { closesTheConnection, connectedByPolling, meansNothing, SocketSession } from "./socket_session.ts";

const HOLE = '{"_placeholder":true,"num":0}';
const HOLES = `${HOLE},{"_placeholder":true,"num":1}`;

const isAcknowledged =
  (id: string, args: string): (echo: { socket: string }) => Promise<void> => async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send(`2${id}["message-with-ack"${args === "" ? "" : `,${args}`}]`);
    strictEqual(await session.next(), `3${id}[${args}]`);
  };

export const ackRules: Rules = {
  "an EVENT with an id is answered with an ACK of that id": isAcknowledged("456", '1,"2",{"3":[false]}'),
  "the id may be 0": isAcknowledged("0", "1"),
  "the id may be large": isAcknowledged("9007199254740991", "1"),
  "the payload of an ACK may be empty, and is there": isAcknowledged("7", ""),
  "ids of EVENTs of different names are not mixed up": async (echo) => {
    await using session = await SocketSession.connected(echo);
    const numbers = Array.from({ length: 200 }, (_, i) => i);
    session.send(...numbers.map((i) => `2${i}["message-with-ack",${i}]`));
    deepStrictEqual(
      new Set(await session.take(200)),
      new Set(numbers.map((i) => `3${i}[${i}]`)),
    );
  },
  "a BINARY_EVENT with an id is answered with a BINARY_ACK": async (echo) => {
    await using session = await SocketSession.connected(echo);
    const attachments = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)];
    session.send(`52-789["message-with-ack",${HOLES}]`, ...attachments);
    deepStrictEqual(await session.take(3), [`62-789[${HOLES}]`, ...attachments]);
  },
  "EVENT and BINARY_EVENT by polling are answered": async (echo) => {
    const session = await connectedByPolling(echo);
    await session.send('421["message-with-ack",1]', `451-2["message-with-ack",${HOLE}]`, "bAQI=");
    deepStrictEqual(await session.take(3), ["431[1]", `461-2[${HOLE}]`, "bAQI="]);
  },
  "an EVENT with an id that is answered by an event gets no ACK of its own": async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send('25["unknown"]');
    await session.requireAlive();
  },

  "an ACK that nobody asked for": meansNothing('312["hello"]', "313[]"),
  "an ACK without an id": meansNothing('3["hello"]'),
  "a BINARY_ACK that nobody asked for": meansNothing(`61-12[${HOLE}]`, Uint8Array.of(1)),
  "an id that is no number closes the connection": closesTheConnection('2abc["message-with-ack",1]'),
  "a negative id closes the connection": closesTheConnection('2-1["message-with-ack",1]'),
  "an ACK whose payload is no array closes the connection": closesTheConnection('312{"a":1}'),
  "an ACK whose payload is no JSON closes the connection": closesTheConnection("312[1"),
};
