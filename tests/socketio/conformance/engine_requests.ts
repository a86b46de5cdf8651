/** Engine.IO 4: which requests of a session are answered, and which of them end it. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { RawClient, toBytes } from "../../helpers/raw_client.ts";
import { MAX_PAYLOAD, type Rules } from "./echo_server.ts";
import { PacketSocket } from "./packet_socket.ts";
import { address, ask, PollingSession } from "./polling.ts";

/** A request by hand, as far as is wanted. */
async function begin(url: string, method: string, headers: string[], body = ""): Promise<RawClient> {
  const { hostname, port, pathname, search } = new URL(url);
  const client = await RawClient.connect(Number(port), hostname);
  const head = [`${method} ${pathname}${search} HTTP/1.1`, `Host: ${hostname}:${port}`, ...headers].join(
    "\r\n",
  );
  await client.write(toBytes(`${head}\r\n\r\n${body}`));
  return client;
}

export const requestRules: Rules = {
  "GET with an unknown sid is refused with 400": async ({ engine, socket }) => {
    for (const base of [engine, socket]) {
      strictEqual((await ask(address(base, { transport: "polling", sid: "unknown" }))).status, 400);
    }
  },

  "POST with an unknown sid is refused with 400": async ({ engine, socket }) => {
    for (const base of [engine, socket]) {
      const url = address(base, { transport: "polling", sid: "unknown" });
      strictEqual((await ask(url, { method: "POST", body: "4hello" })).status, 400);
    }
  },

  "names that every object has are no sids": async ({ engine }) => {
    for (const sid of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      strictEqual((await ask(address(engine, { transport: "polling", sid }))).status, 400, sid);
    }
  },

  "a sid of one path is unknown on the other": async ({ engine, socket }) => {
    const { sid } = await PollingSession.open(engine);
    strictEqual((await ask(address(socket, { transport: "polling", sid }))).status, 400);
  },

  "POST is answered with 200 and ok": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const { status, text } = await session.post("4hello");
    deepStrictEqual({ status, text }, { status: 200, text: "ok" });
  },

  "a method that is neither GET nor POST is refused": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const { status } = await ask(session.url, { method });
      ok(status >= 400, `${method}: ${status}`);
    }
  },

  "a second GET at once ends the session: 1 for the first, a refusal for the second": async (
    { engine, socket },
  ) => {
    for (const base of [engine, socket]) {
      const session = await PollingSession.open(base);
      const first = session.poll();
      await sleep(20);
      const second = await session.poll();
      ok([400, 500].includes(second.status), `${second.status}`);
      const { status, text } = await first;
      deepStrictEqual({ status, text }, { status: 200, text: "1" });
      await session.requireGone();
    }
  },

  "a second POST at once is refused with 400 and ends the session": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    using slow = await begin(session.url, "POST", ["Content-Length: 6"], "4");
    await sleep(20);
    strictEqual((await session.post("4hello")).status, 400);
    await session.requireGone();
    ok(await slow.write(toBytes("hello")), "written to nobody");
  },

  "GET and POST at once are what polling is made of": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const polled = session.poll();
    await sleep(20);
    await session.send("4hello");
    strictEqual((await polled).text, "4hello");
    await session.requireAlive();
  },

  "a GET that the client gives up ends the session": async ({ engine, socket }) => {
    for (const base of [engine, socket]) {
      const [aborted, kept] = [await PollingSession.open(base), await PollingSession.open(base)];
      const controller = new AbortController();
      const polled = aborted.poll({ signal: controller.signal }).catch(() => {});
      await sleep(20);
      controller.abort();
      await polled;
      for (let turn = 0; (await aborted.post("3")).status === 200; turn++) {
        ok(turn < 100, "The session goes on");
        strictEqual((await kept.post("3")).status, 200); // which keeps it from its timeout
        await sleep(20);
      }
      strictEqual((await kept.post("3")).status, 200);
      await aborted.requireGone();
    }
  },

  "a POST that ends before its body ends the session": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const cut = await begin(session.url, "POST", ["Content-Length: 6"], "4");
    await sleep(20);
    cut.close();
    for (let turn = 0; (await ask(session.url, { method: "POST", body: "3" })).status === 200; turn++) {
      ok(turn < 100, "The session goes on");
      await sleep(20);
    }
    await session.requireGone();
  },

  "POST of application/octet-stream is refused with 400 and ends the session": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const { status } = await session.post("4hello", { "content-type": "application/octet-stream" });
    strictEqual(status, 400);
    await session.requireGone();
  },

  "POST without a Content-Type is taken as plain text": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const { status } = await ask(session.url, { method: "POST", body: new TextEncoder().encode("4ä") });
    strictEqual(status, 200);
    deepStrictEqual(await session.take(1), ["4ä"]);
  },

  "POST of as much as maxPayload is taken": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const packet = `4${"a".repeat(MAX_PAYLOAD - 1)}`;
    await session.send(packet);
    ok((await session.take(1))[0] === packet);
  },

  "POST of a byte more than maxPayload is refused with 413": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const { status } = await session.post("4".repeat(MAX_PAYLOAD + 1));
    strictEqual(status, 413);
  },

  "POST of more than maxPayload that does not say how much is refused with 413": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const chunk = "a".repeat(65_536);
    using client = await begin(session.url, "POST", ["Transfer-Encoding: chunked"]);
    for (let sent = 0; sent <= MAX_PAYLOAD; sent += chunk.length) {
      await client.write(toBytes(`${chunk.length.toString(16)}\r\n${chunk}\r\n`));
    }
    strictEqual((await client.readHead()).status, 413);
  },

  "maxPayload is bytes, not characters": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    const { status } = await session.post(`4${"ä".repeat(MAX_PAYLOAD / 2)}`);
    strictEqual(status, 413);
  },

  "GET of a session that has become a WebSocket is refused with 400": async ({ engine }) => {
    const session = await PollingSession.open(engine);
    await using socket = await PacketSocket.upgraded(engine, session.sid);
    await socket.requireAlive();
    strictEqual((await session.poll()).status, 400);
  },

  "another version in the middle of a session is refused with 400": async ({ engine }) => {
    const { sid } = await PollingSession.open(engine);
    strictEqual((await ask(address(engine, { EIO: "3", transport: "polling", sid }))).status, 400);
  },
};
