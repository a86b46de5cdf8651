/**
 * What the documents of Engine.IO protocol 4 and Socket.IO protocol 5 ask of a server, rule by rule, by requests and
 * WebSockets made by hand. Where the documents are silent the official server is followed, which keeps these rules too.
 */
import { deepStrictEqual } from "node:assert/strict";
import { type EchoServer, OTHER_SERVER, type Rules, startEchoServer } from "./echo_server.ts";
import { closeRules } from "./engine_close.ts";
import { handshakeRules } from "./engine_handshake.ts";
import { heartbeatRules } from "./engine_heartbeat.ts";
import { pollingRules } from "./engine_polling.ts";
import { requestRules } from "./engine_requests.ts";
import { upgradeRules } from "./engine_upgrade.ts";
import { webSocketRules } from "./engine_websocket.ts";
import { unlessStarved } from "./pulse.ts";
import { ackRules } from "./socket_acks.ts";
import { binaryRules } from "./socket_binary.ts";
import { connectRules, connectTimeRules } from "./socket_connect.ts";
import { eventRules } from "./socket_events.ts";

const sections: Record<string, Rules> = {
  "Engine.IO 4, handshake": handshakeRules,
  "Engine.IO 4, requests": requestRules,
  "Engine.IO 4, HTTP long-polling": pollingRules,
  "Engine.IO 4, WebSocket": webSocketRules,
  "Engine.IO 4, close": closeRules,
  "Engine.IO 4, upgrade": upgradeRules,
  "Socket.IO 5, connection to a namespace": connectRules,
  "Socket.IO 5, events": eventRules,
  "Socket.IO 5, binary": binaryRules,
  "Socket.IO 5, acknowledgement": ackRules,
};

/** Rules that are about time are checked side by side: all they do is wait. */
const slowSections: Record<string, Rules> = {
  "Engine.IO 4, heartbeat": heartbeatRules,
  "Socket.IO 5, time to connect": connectTimeRules,
};

let server: EchoServer | undefined;
const started = (): EchoServer => {
  if (server === undefined) throw new Error("The echo application was not started");
  return server;
};

Deno.test.beforeAll(async () => {
  server = await startEchoServer();
});

Deno.test.afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

function toTest(name: string, rule: Rules[string]): Deno.TestDefinition {
  const isStrict = typeof rule !== "function";
  const check = isStrict ? rule.strict : rule;
  return {
    name,
    ignore: isStrict && Deno.env.has(OTHER_SERVER),
    fn: () => unlessStarved(() => check(started().echo)),
  };
}

for (const [section, rules] of Object.entries(sections)) {
  for (const [name, rule] of Object.entries(rules)) Deno.test(toTest(`${section}: ${name}`, rule));
}

const besideOthers = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };
for (const [section, rules] of Object.entries(slowSections)) {
  Deno.test(section, async (t) => {
    const steps = Object.entries(rules).map(([name, rule]) =>
      t.step({ ...toTest(name, rule), ...besideOthers })
    );
    await Promise.all(steps);
  });
}

Deno.test("the echo application has said nothing of faults after all this", () => {
  deepStrictEqual(started().lines.filter((line) => /error|uncaught|panic/i.test(line)), []);
});
