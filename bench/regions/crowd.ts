/** Sockets of a far node that send to rooms of theirs, and one at home that hears them all. */
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../tests/faults/until.ts";
import { signToken } from "../../tests/helpers/test_app.ts";
import { connectSocket, type TestSocket } from "../../tests/helpers/test_socket.ts";

const HEARD_MS = 10_000;

export class Crowd implements AsyncDisposable {
  readonly #senders: readonly TestSocket[];
  readonly #listener: TestSocket;
  readonly #rooms: readonly string[];
  readonly #sentAt = new Map<string, number>();
  #deliveries: number[] = [];
  #sent = 0;
  #taken = 0;

  private constructor(senders: TestSocket[], listener: TestSocket, rooms: string[]) {
    this.#senders = senders;
    this.#listener = listener;
    this.#rooms = rooms;
    listener.socket.addEventListener("message", ({ data }) => {
      const { event, data: push } = JSON.parse(data);
      const at = event === "message_received" ? this.#sentAt.get(push.message.content) : undefined;
      if (at !== undefined) this.#deliveries.push(performance.now() - at);
      listener.pushes.length = 0;
    });
  }

  /** Each room has one sender, who may have several. */
  static async connect(
    ask: { far: string; home: string; rooms: number; senders: number },
  ): Promise<Crowd> {
    const listener = await connectSocket(ask.home, await signToken("listener"));
    const senders: TestSocket[] = [];
    for (let i = 0; i < ask.senders; i++) {
      senders.push(await connectSocket(ask.far, await signToken(`sender${i}`)));
    }
    const rooms: string[] = [];
    for (let i = 0; i < ask.rooms; i++) {
      const { room } = await listener.call("create_room", { name: `Room ${i}`, type: "PUBLIC" });
      await listener.call("join_room", { roomId: room.id });
      await listener.call("add_member", { roomId: room.id, userId: `sender${i % ask.senders}` });
      rooms.push(room.id);
    }
    return new Crowd(senders, listener, rooms);
  }

  async sendInTurn(count: number): Promise<number[]> {
    const acks: number[] = [];
    for (let i = 0; i < count; i++) {
      acks.push(await this.#send(0));
      await sleep(Math.random() * 50);
    }
    return acks;
  }

  /** At a steady rate, whatever the answers do; a room's turn comes at random. */
  async sendSteadily({ perSecond, seconds }: { perSecond: number; seconds: number }): Promise<number[]> {
    const began = performance.now();
    const acks: Promise<number>[] = [];
    while (performance.now() < began + seconds * 1_000) {
      const due = Math.floor((performance.now() - began) / 1_000 * perSecond);
      while (acks.length < due) acks.push(this.#send(Math.floor(Math.random() * this.#rooms.length)));
      await sleep(2);
    }
    return await Promise.all(acks);
  }

  /** What the listener has heard since the last time, once it has heard all. */
  async takeDeliveries(): Promise<number[]> {
    const isWhole = () => this.#deliveries.length >= this.#sent - this.#taken;
    await until(isWhole, HEARD_MS, "all deliveries");
    this.#taken = this.#sent;
    return this.#deliveries.splice(0);
  }

  async #send(room: number): Promise<number> {
    const content = `m${this.#sent++}`;
    const began = performance.now();
    this.#sentAt.set(content, began);
    await this.#senders[room % this.#senders.length]?.call("send_message", {
      roomId: this.#rooms[room],
      content,
    });
    return performance.now() - began;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#listener, ...this.#senders].map((socket) => socket.close()));
  }
}
