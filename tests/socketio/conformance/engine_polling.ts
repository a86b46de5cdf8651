/** Engine.IO 4: packets by HTTP long-polling, one or many in a payload, text and binary. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Rules } from "./echo_server.ts";
import { PollingSession, SEPARATOR } from "./polling.ts";

/** Sent in one payload, and back in one. */
const comesBack =
  (...packets: string[]): (echo: { engine: string }) => Promise<void> => async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send(...packets);
    const { status, text } = await session.poll();
    deepStrictEqual({ status, packets: text.split(SEPARATOR) }, { status: 200, packets });
  };

/** Whatever the answer to the payload is, the session is over. */
const endsTheSession =
  (payload: string): (echo: { engine: string }) => Promise<void> => async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.post(payload).catch(() => {}); // the connection may end before the answer
    await session.requireGone();
  };

export const pollingRules: Rules = {
  "a payload of one text packet": comesBack("4hello"),
  "a payload of several text packets": comesBack("4test1", "4test2", "4test3"),
  "a payload of 500 packets, in their order": comesBack(...Array.from({ length: 500 }, (_, i) => `4${i}`)),
  "a binary packet is b and base64": comesBack("bAQIDBA=="),
  "a payload of text and binary packets": comesBack("4hello", "bAQIDBA=="),
  "binary packets of every length of padding": comesBack("bAQ==", "bAQI=", "bAQID"),
  "text is UTF-8, beyond the basic plane too": comesBack("4utf 8 string: äöü € 漢字 🧑‍🤝‍🧑"),
  "a message may be empty": comesBack("4", "4a"),
  "a message may begin as other packets do": comesBack("4bAQIDBA==", "42", "41", "43probe"),
  "quotes, backslashes and line ends are left alone": comesBack('4"\\n\\"', "4\n\r\n\t", "4\\x1e"),

  "what came before the GET waits for it, in order": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    for (const packet of ["4a", "4b", "bAQ==", "4c"]) await session.send(packet);
    strictEqual((await session.poll()).text, ["4a", "4b", "bAQ==", "4c"].join(SEPARATOR));
  },

  "a GET waits until there is something": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    let isAnswered = false;
    const polled = session.poll().finally(() => isAnswered = true);
    await sleep(50);
    strictEqual(isAnswered, false);
    await session.send("4hello");
    strictEqual((await polled).text, "4hello");
  },

  "what was polled does not come again": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send("4a");
    deepStrictEqual(await session.take(1), ["4a"]);
    await session.send("4b");
    deepStrictEqual(await session.take(1), ["4b"]);
  },

  "a payload is plain text in UTF-8 also where it is base64, and nobody may keep it": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send("bAQIDBA==");
    const { headers } = await session.poll();
    match(headers.get("content-type") ?? "", /^text\/plain; *charset=utf-8$/i);
    match(headers.get("cache-control") ?? "", /no-store/);
  },

  "a noop is taken and means nothing": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await session.send("6");
    await session.requireAlive();
  },

  "a packet of no known type ends the session": endsTheSession("abc"),
  "a packet of type 7 ends the session": endsTheSession("7"),
  "an empty payload ends the session": endsTheSession(""),
  "an empty packet ends the session": endsTheSession(["4a", "", "4b"].join(SEPARATOR)),
  "a bad packet after good ones ends the session": endsTheSession(["4a", "4b", "abc"].join(SEPARATOR)),
  "a ping is the server's: one of the client ends the session": endsTheSession("2"),
};
