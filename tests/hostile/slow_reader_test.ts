/** Clients that do not read: what a room is told, and what they asked for themselves. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  closeFrame,
  frame,
  handshake,
  OPCODE,
  RawClient,
  textFrame,
  toBytes,
} from "../helpers/raw_client.ts";
import { signToken } from "../helpers/test_app.ts";
import type { TestSocket } from "../helpers/test_socket.ts";
import { connectionsTo, MIB, pause, RSS_MARGIN_BYTES, startTarget, type Target } from "./target.ts";

const LENGTH = 60_000;

/** Upgraded and signed in; nothing of what the server says is read. */
async function openDeaf(target: Target, user: string): Promise<RawClient> {
  const client = await RawClient.connect(target.port);
  await client.write(toBytes(handshake({ token: await signToken(user) })));
  strictEqual((await client.readHead()).status, 101);
  return client;
}

class Publisher {
  readonly #socket: TestSocket;
  readonly #roomId: string;
  published = 0;

  constructor(socket: TestSocket, roomId: string) {
    this.#socket = socket;
    this.#roomId = roomId;
  }

  async publish(count: number): Promise<void> {
    let left = count;
    const sendOn = async (): Promise<void> => {
      while (left-- > 0) {
        await this.#socket.call("send_message", { roomId: this.#roomId, content: "a".repeat(LENGTH) });
        this.published++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, sendOn));
  }
}

Deno.test("a client that never reads is closed as slow_consumer and gone; who reads hears all; it comes back to all of it", async () => {
  await using target = await startTarget({ CHAT_MAX_MESSAGE_LENGTH: String(LENGTH) });
  await using innocents = await target.innocents();
  const roomId = await target.room("writer");
  const writer = await target.socket("writer");
  const reader = await target.socket("reader");
  const publisher = new Publisher(writer, roomId);
  const { position } = await reader.call("join_room", { roomId });
  const [deaf, late] = [await openDeaf(target, "deaf"), await openDeaf(target, "late")];
  for (const client of [deaf, late]) {
    await client.write(textFrame({ event: "join_room", data: { roomId }, id: 1 }));
  }
  await pause(500);
  const base = target.rss().now;

  // first the kernel's buffers fill, as large as this machine makes them; then the queue
  const closing = () =>
    target.events("socket.closing").filter(({ reason }) => reason === "slow_consumer").length;
  for (let turn = 0; turn < 400 && closing() < 2; turn++) await publisher.publish(10);
  strictEqual(closing(), 2);
  late.answersClose = false;
  late.startReading();
  const { code, reason } = await late.untilEnded();
  deepStrictEqual({ code, reason }, { code: 4008, reason: "slow_consumer" });
  const publishing = publisher.publish(300);
  await target.untilGone([deaf, late], 4_000);
  await publishing;
  await target.untilCuts("not closed in time", 2); // neither of them answers the close
  ok(target.rss().peak < base + RSS_MARGIN_BYTES, `${(target.rss().peak - base) / MIB} MiB above the base`);

  await reader.until(() => reader.events("message_received").length === publisher.published, "all", 10_000);
  const again = await target.socket("deaf");
  const caughtUp = await again.call("join_room", { roomId, since: position });
  strictEqual(caughtUp.reset, true);
  let seqs: number[] = caughtUp.messages.map(({ seq }: { seq: number }) => seq);
  while (seqs[0]! > position.seq + 1) {
    const { messages } = await again.call("list_messages", { roomId, before: seqs[0], limit: 100 });
    const page: number[] = messages.map(({ seq }: { seq: number }) => seq).filter((seq: number) =>
      seq > position.seq
    );
    if (page.length === 0) break;
    seqs = [...page, ...seqs];
  }
  const heard = reader.events("message_received").map(({ seq }) => seq);
  deepStrictEqual(seqs, heard);
  await innocents.requireUnharmed();
  for (const client of [deaf, late]) client.close();
  await Promise.all([writer, reader, again].map((socket) => socket.close()));
  target.requireNoFaults();
});

Deno.test("a client that asks and does not read its answers is closed, however much it asks for", async () => {
  await using target = await startTarget({ CHAT_MAX_MESSAGE_LENGTH: String(LENGTH) });
  await using innocents = await target.innocents();
  const roomId = await target.room("writer");
  const writer = await target.socket("writer");
  await new Publisher(writer, roomId).publish(20);
  await pause(300);
  const base = target.rss().now;
  const deaf = await openDeaf(target, "writer");
  const asked = textFrame({ event: "list_messages", data: { roomId, limit: 20 }, id: 1 });
  for (let i = 0; i < 900; i++) await deaf.write(asked);
  await target.untilGone([deaf], 10_000);
  await target.untilCuts("not closed in time", 1);
  ok(target.rss().peak < base + RSS_MARGIN_BYTES, `${(target.rss().peak - base) / MIB} MiB above the base`);
  await innocents.requireUnharmed();
  deaf.close();
  await writer.close();
  target.requireNoFaults();
});

Deno.test("a client that does not read and goes on sending, or says goodbye, is gone all the same", async (t) => {
  await using target = await startTarget({ CHAT_MAX_MESSAGE_LENGTH: String(LENGTH) });
  const roomId = await target.room("writer");
  const writer = await target.socket("writer");
  const publisher = new Publisher(writer, roomId);
  const talks: Record<string, Uint8Array> = {
    pongs: frame({ opcode: OPCODE.pong }),
    commands: textFrame({ event: "list_rooms" }),
    "a goodbye": closeFrame(1000),
  };
  for (const [name, talk] of Object.entries(talks)) {
    await t.step(name, async () => {
      using deaf = await openDeaf(target, "deaf");
      await deaf.write(textFrame({ event: "join_room", data: { roomId }, id: 1 }));
      const before = target.events("socket.closing").length;
      const isClosing = () => target.events("socket.closing").length > before;
      // the goodbye comes with the queue full, but not so full that it is closed
      for (let turn = 0; turn < 400 && !isClosing(); turn++) {
        await publisher.publish(10);
        if (name !== "a goodbye") await deaf.write(talk);
        else if (sendQueueOf(target, deaf) > 0) break;
      }
      const sending = setInterval(() => void deaf.write(talk), 50);
      try {
        await target.untilGone([deaf], 6_000);
      } finally {
        clearInterval(sending);
      }
    });
  }
  await writer.close();
  target.requireNoFaults();
});

/** Bytes that the kernel holds for it because it does not read. */
function sendQueueOf(target: Target, client: RawClient): number {
  return connectionsTo(target.port).find(({ peerPort }) => peerPort === client.localPort)?.sendQueue ?? 0;
}
