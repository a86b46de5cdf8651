/**
 * F14, a scanner that fails: down, slow, answering rubbish, cut in the middle, saying OK of everything. Files wait, and are
 * never served before they were scanned; other nodes and those who were away learn of the verdict without the bus.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { TEST_VIRUS } from "../../src/files/test_virus.ts";
import { until } from "../bus/until.ts";
import { ClamavRest, type ScannerFault } from "../helpers/clamav_rest.ts";
import { Clamd } from "../helpers/clamd.ts";
import type { Json } from "../helpers/doors.ts";
import { LOSES_ALL, TwoNodes } from "../helpers/two_nodes.ts";
import { FileClient, startFilesApp } from "../helpers/uploads.ts";

const FAULTS: readonly [what: string, fault: ScannerFault][] = [
  ["answers rubbish", { is: "status", status: 200, body: "<html>fine</html>" }],
  ["answers an error of every file", { is: "status", status: 500, body: "oops" }],
  ["is cut in the middle", { is: "reset", afterBytes: 10 }],
  ["says OK of everything, the test virus too", { is: "lying" }],
];

Deno.test("a scanner that fails keeps files waiting, and harmless ones are served once it works", async (t) => {
  await using clamd = await Clamd.start();
  for (const [what, fault] of FAULTS) {
    await t.step(what, async () => {
      await using scanner = new ClamavRest(clamd);
      await using node = await startFilesApp({ env: { CLAMAV_REST_URL: scanner.url } });
      const ada = await node.as("ada");
      const roomId = await ada.room();
      scanner.fault = fault;
      const [good, bad] = [await ada.upload(roomId, "harmless"), await ada.upload(roomId, TEST_VIRUS())];
      await ada.attach(roomId, good.id, bad.id);
      await until(() => scanner.asked >= 3, "some tries");
      for (const { id } of [good, bad]) strictEqual((await ada.fetch(id)).status, 404);
      scanner.fault = { is: "none" };
      const stateOf = async (id: string): Promise<Json> =>
        (await ada.get(`/api/chat/files/${id}/state`)).body.attachment;
      await until(async () => (await stateOf(good.id)).state === "clean", "the good one", 40_000);
      await until(async () => (await stateOf(bad.id)).state === "infected", "the bad one", 40_000);
      strictEqual((await ada.fetch(good.id)).status, 200);
      strictEqual((await ada.fetch(bad.id)).status, 404);
    });
  }
});

Deno.test("a verdict reaches another node that hears nothing of the bus, and whoever was away", async () => {
  await using clamd = await Clamd.start();
  await using scanner = new ClamavRest(clamd);
  const folder = await Deno.makeTempDir();
  await using parts = new AsyncDisposableStack();
  parts.defer(() => Deno.remove(folder, { recursive: true }));
  const env = { FILES_DIR: folder, CLAMAV_REST_URL: scanner.url };
  await using nodes = await TwoNodes.start(env);
  nodes.setFaults(1, LOSES_ALL);
  const here = nodes.doors(0).app;
  const ada = new FileClient(here.url, "ada", await here.tokenFor("ada"));
  const [ben, away] = [await nodes.ear(1, "ben"), await nodes.ear(1, "cyd")];
  const roomId = await ada.room();
  await ben.call("join_room", { roomId });
  const { position } = await away.call("join_room", { roomId });
  await away.call("leave_room", { roomId });
  scanner.fault = { is: "slow", ms: 500 };
  const file = await ada.upload(roomId, "for everybody");
  const { id } = await ada.attach(roomId, file.id);
  await ben.next("message_received", ({ message }) => message.id === id);
  // whichever node scans it: where that was the other one, the sweep tells of the message as it is now
  await until(() => {
    const told = [
      ...ben.events("message_updated"),
      ...ben.events("attachment_updated"),
      ...ben.events("message_received"),
    ];
    return told.some(({ message }) => message.id === id && message.attachments[0].state === "clean");
  }, "the verdict");
  const caught = await away.call("join_room", { roomId, since: position });
  deepStrictEqual(
    caught.messages.map(({ attachments }: Json) => attachments.map(({ state }: Json) => state)),
    [["clean"]],
  );
  const there = new FileClient(nodes.doors(1).app.url, "ben", await here.tokenFor("ben"));
  strictEqual((await there.fetch(file.id)).status, 200);
  ok(scanner.asked >= 2);
});
