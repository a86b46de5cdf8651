/** HTTP long-polling by hand: a session as a list of requests, none of which is made before it is asked for. */
import { deepStrictEqual } from "node:assert/strict";

export const SEPARATOR = "\x1e";
const WAIT_MS = 10_000;

export interface Answer {
  status: number;
  text: string;
  headers: Headers;
}

/** EIO=4 unless the query says otherwise; what is undefined is left out. */
export function address(base: string, query: Record<string, string | undefined>): string {
  const url = new URL(base);
  for (const [name, value] of Object.entries({ EIO: "4", ...query })) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url.href;
}

/** Fetched, and read to its end. */
export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  return { status: response.status, text: await response.text(), headers: response.headers };
}

export interface OpenPacket {
  sid: string;
  upgrades: string[];
  pingInterval: number;
  pingTimeout: number;
  maxPayload: number;
}

/** The JSON of an open packet. */
export function openPacketOf(packet: unknown): OpenPacket {
  deepStrictEqual(String(packet).slice(0, 1), "0", `Not an open packet: ${packet}`);
  return JSON.parse(String(packet).slice(1));
}

export class PollingSession {
  readonly sid: string;
  readonly base: string;
  readonly url: string;

  private constructor(base: string, sid: string) {
    this.base = base;
    this.sid = sid;
    this.url = address(base, { transport: "polling", sid });
  }

  static async open(base: string): Promise<PollingSession> {
    const { text } = await ask(address(base, { transport: "polling" }));
    return new PollingSession(base, openPacketOf(text).sid);
  }

  poll(init: RequestInit = {}): Promise<Answer> {
    return ask(this.url, init);
  }

  post(body: string, headers: Record<string, string> = {}): Promise<Answer> {
    return ask(this.url, { method: "POST", body, headers });
  }

  /** Posted and taken. */
  async send(...packets: string[]): Promise<void> {
    const { status, text } = await this.post(packets.join(SEPARATOR));
    deepStrictEqual({ status, text }, { status: 200, text: "ok" });
  }

  /** Polled until there are so many packets beside pings, which are answered. */
  async take(count: number): Promise<string[]> {
    const packets: string[] = [];
    for (const end = performance.now() + WAIT_MS; packets.length < count && performance.now() < end;) {
      const { status, text } = await this.poll();
      deepStrictEqual(status, 200, `A poll after ${packets.length} packets`);
      const came = text.split(SEPARATOR);
      if (came.includes("2")) await this.send("3");
      packets.push(...came.filter((packet) => packet !== "2"));
    }
    return packets;
  }

  /** The server knows nothing of it any more: both methods say so. */
  async requireGone(): Promise<void> {
    const [polled, posted] = [await this.poll(), await this.post("3")];
    deepStrictEqual([polled.status, posted.status], [400, 400]);
  }

  /** What is sent still comes back. */
  async requireAlive(): Promise<void> {
    await this.send("4alive");
    for (;;) {
      const packets = await this.take(1);
      if (packets.includes("4alive")) return;
      deepStrictEqual(packets.filter((packet) => packet !== "6"), []);
    }
  }
}
