/** Publishes long messages to one room at a fixed pace, with one member who reads them all. */
import { connectSocket } from "../../tests/helpers/test_socket.ts";
import { pause, Told } from "./child.ts";

export interface PublisherAsk {
  url: string;
  roomId: string;
  /** Members of the room: each sends its share, so that none is faster than its rate. */
  writers: string[];
  reader: string;
  length: number;
  bytesPerS: number;
}

/** So far, whenever it is told something. */
export interface Published {
  bytes: number;
  faults: number;
}

async function publish(ask: PublisherAsk, told: Told): Promise<void> {
  const reader = await connectSocket(ask.url, ask.reader);
  await reader.call("join_room", { roomId: ask.roomId });
  const writers = await Promise.all(ask.writers.map((token) => connectSocket(ask.url, token)));
  const content = "a".repeat(ask.length);
  const everyMs = writers.length * ask.length / ask.bytesPerS * 1_000;
  const published: Published = { bytes: 0, faults: 0 };
  const started = performance.now();
  const write = async (socket: typeof reader, place: number): Promise<never> => {
    for (let turn = 0;; turn++) {
      const due = started + everyMs * (turn + place / writers.length);
      await pause(Math.max(0, due - performance.now()));
      try {
        await socket.call("send_message", { roomId: ask.roomId, content });
        published.bytes += ask.length;
      } catch {
        published.faults++;
      }
      reader.pushes.length = 0;
    }
  };
  writers.forEach((socket, place) => void write(socket, place));
  for (;;) {
    told.answer(published);
    await told.next();
  }
}

if (import.meta.main) {
  const told = new Told();
  const ask: PublisherAsk = JSON.parse(await told.next());
  await publish(ask, told);
}
