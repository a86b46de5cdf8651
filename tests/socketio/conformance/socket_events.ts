/** Socket.IO 5: events, as they are and as they must not be. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Rules } from "./echo_server.ts";
import { closesTheConnection, connectedByPolling, meansNothing, SocketSession } from "./socket_session.ts";

/** The arguments of `message`, as JSON; they come back as they are. */
const comesBack = (args: string): (echo: { socket: string }) => Promise<void> => async (echo) => {
  await using session = await SocketSession.connected(echo);
  session.send(`2["message",${args}]`);
  strictEqual(await session.next(), `2["message-back",${args}]`);
};

export const eventRules: Rules = {
  "an EVENT with arguments of several kinds": comesBack('1,"2",{"3":[true]}'),
  "an EVENT with null, empty and nested arguments": comesBack('null,"",[],{},[[[{"a":{"b":[0.5,-1]}}]]]'),
  "an EVENT in UTF-8, with escapes": comesBack('"äöü € 漢字 🧑‍🤝‍🧑 \\" \\\\ \\n"'),
  "an EVENT that speaks of placeholders and is not binary": comesBack('{"_placeholder":true,"num":0}'),
  "an EVENT with separators in its text": comesBack('"a,b-c/d[1]{2}"'),
  "an EVENT of 400,000 characters": comesBack(`"${"a".repeat(400_000)}"`),
  "an EVENT without arguments": async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send('2["message"]');
    strictEqual(await session.next(), '2["message-back"]');
  },
  "300 EVENTs, in their order": async (echo) => {
    await using session = await SocketSession.connected(echo);
    const numbers = Array.from({ length: 300 }, (_, i) => i);
    session.send(...numbers.map((i) => `2["message",${i}]`));
    deepStrictEqual(await session.take(300), numbers.map((i) => `2["message-back",${i}]`));
  },
  "EVENTs by polling, several in a payload": async (echo) => {
    const session = await connectedByPolling(echo);
    await session.send('42["message",1]', '42["message",{"2":[]}]');
    deepStrictEqual(await session.take(2), ['42["message-back",1]', '42["message-back",{"2":[]}]']);
  },
  "an EVENT with the name of the main namespace": async (echo) => {
    await using session = await SocketSession.connected(echo);
    session.send('2/,["message",1]');
    strictEqual(await session.next(), '2["message-back",1]');
  },

  "an EVENT that nobody listens to": meansNothing('2["unknown",1]'),
  "EVENTs with the names of what every object has": meansNothing(
    ...["__proto__", "constructor", "toString", "hasOwnProperty"].map((name) => `2["${name}",1]`),
  ),
  "an EVENT whose name is a number": meansNothing("2[1,2]"),
  "an EVENT with __proto__ in its arguments": comesBack('{"__proto__":{"polluted":true}}'),

  "an EVENT whose payload is an object closes the connection": closesTheConnection("2{}"),
  "an EVENT whose payload is a text closes the connection": closesTheConnection('2"message"'),
  "an EVENT whose payload is an empty array closes the connection": closesTheConnection("2[]"),
  "an EVENT without a payload closes the connection": { strict: closesTheConnection("2") },
  "an EVENT whose payload is no JSON closes the connection": closesTheConnection('2["message"'),
  "an EVENT with text after its payload closes the connection": closesTheConnection('2["message"]x'),
  "an EVENT whose name is an object closes the connection": closesTheConnection('2[{"a":1}]'),
  "an EVENT whose name is null closes the connection": closesTheConnection("2[null]"),
  "EVENTs of reserved names close the connection": async (echo) => {
    for (
      const name of [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
      ]
    ) {
      await closesTheConnection(`2["${name}"]`)(echo);
    }
  },
  "a packet of no known type closes the connection": closesTheConnection("abc"),
  "a packet of type 7 closes the connection": closesTheConnection('7["message"]'),
  "a CONNECT_ERROR of the client closes the connection": closesTheConnection('4{"message":"no"}'),
  "what closes one connection leaves another": async (echo) => {
    await using other = await SocketSession.connected(echo);
    await closesTheConnection("2{}")(echo);
    await other.requireAlive();
  },
};
