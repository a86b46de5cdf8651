/** Socket.IO 5: attachments, counted in front, sent behind, each in its own Engine.IO packet. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Rules } from "./echo_server.ts";
import { closesTheConnection, connectedByPolling, SocketSession } from "./socket_session.ts";

const hole = (num: number | string): string => `{"_placeholder":true,"num":${num}}`;
const holes = (count: number): string => Array.from({ length: count }, (_, num) => hole(num)).join(",");
const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);

const comesBack = (
  head: (event: string) => string,
  ...attachments: Uint8Array<ArrayBuffer>[]
): (echo: { socket: string }) => Promise<void> =>
async (echo) => {
  await using session = await SocketSession.connected(echo);
  session.send(head("message"), ...attachments);
  deepStrictEqual(await session.take(1 + attachments.length), [head("message-back"), ...attachments]);
};

export const binaryRules: Rules = {
  "BINARY_EVENT with one attachment": comesBack((event) => `51-["${event}",${hole(0)}]`, bytes(1, 2, 3, 4)),
  "BINARY_EVENT with several attachments": comesBack(
    (event) => `52-["${event}",${holes(2)}]`,
    bytes(1, 2, 3),
    bytes(4, 5, 6),
  ),
  "BINARY_EVENT with ten attachments": comesBack(
    (event) => `510-["${event}",${holes(10)}]`,
    ...Array.from({ length: 10 }, (_, i) => bytes(i)),
  ),
  "BINARY_EVENT with attachments deep in its arguments": comesBack(
    (event) => `52-["${event}",{"a":[1,{"b":${hole(0)}}]},"text",[${hole(1)}]]`,
    bytes(1),
    bytes(),
  ),
  "BINARY_EVENT with a large attachment": comesBack(
    (event) => `51-["${event}",${hole(0)}]`,
    new Uint8Array(300_000).fill(9),
  ),
  "BINARY_EVENT by polling, in base64": async (echo) => {
    const session = await connectedByPolling(echo);
    await session.send(`452-["message",${holes(2)}]`, "bAQID", "bBAUG");
    deepStrictEqual(await session.take(3), [`452-["message-back",${holes(2)}]`, "bAQID", "bBAUG"]);
  },
  "BINARY_EVENT by polling, its attachments in other payloads": async (echo) => {
    const session = await connectedByPolling(echo);
    await session.send(`451-["message",${hole(0)}]`);
    await session.send("bAQID");
    deepStrictEqual(await session.take(2), [`451-["message-back",${hole(0)}]`, "bAQID"]);
  },
  "EVENTs before and after a BINARY_EVENT keep their order": async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send('2["message",1]', `51-["message",${hole(0)}]`, bytes(2), '2["message",3]');
    deepStrictEqual(await session.take(4), [
      ...['2["message-back",1]', `51-["message-back",${hole(0)}]`, bytes(2), '2["message-back",3]'],
    ]);
  },
  "a noop between attachments is none of them": async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send(`52-["message",${holes(2)}]`, bytes(1));
    session.socket.send("6");
    session.send(bytes(2));
    deepStrictEqual((await session.take(3))[0], `52-["message-back",${holes(2)}]`);
  },

  "an attachment that nobody announced closes the connection": closesTheConnection(bytes(1, 2, 3)),
  "an attachment too many closes the connection": closesTheConnection(
    `51-["unknown",${hole(0)}]`,
    bytes(1),
    bytes(2),
  ),
  "text where an attachment is due closes the connection": closesTheConnection(
    `51-["message",${hole(0)}]`,
    '2["message"]',
  ),
  "eleven attachments close the connection": closesTheConnection(`511-["message",${holes(11)}]`),
  "a huge count of attachments closes the connection": closesTheConnection(
    `5${"9".repeat(300)}-["message",${hole(0)}]`,
  ),
  "counts that are none close the connection": async (echo) => {
    for (const count of ["", "0", "-1", "1.5", "a", "1e1x", "NaN", "Infinity"]) {
      await closesTheConnection(`5${count}-["message",${hole(0)}]`)(echo);
    }
  },
  "a count without its dash closes the connection": closesTheConnection(`51["message",${hole(0)}]`),
  "placeholders of attachments that are not there close the connection": async (echo) => {
    for (const num of [1, -1, '"0"', '"__proto__"', "null"]) {
      await closesTheConnection(`51-["message",${hole(num)}]`, bytes(1))(echo);
    }
  },
  "a BINARY_EVENT whose name is an attachment closes the connection": closesTheConnection(
    `51-[${hole(0)},1]`,
    bytes(1),
  ),
  "a client that goes between attachments leaves nothing behind": async (echo) => {
    {
      await using session = await SocketSession.connected(echo);
      session.send(`52-["message",${holes(2)}]`, bytes(1));
    }
    await using session = await SocketSession.connected(echo);
    await session.requireAlive();
    strictEqual(session.socket.isClosed, false);
  },
};
