/**
 * The readers: a socket for each member of one room, in a worker of their own. Told to, each reads every message a moment
 * after it has come. They count what they hear and look into few of it: the load must not be what is slow.
 */
import { RECEIPTS_WINDOW_MS } from "../../src/protocol/limits.ts";

/** What the worker is told: first who they are, then what to do. */
export type ReadersWord = ReadersAsk | "listen" | "read" | "result";

export interface ReadersAsk {
  url: string;
  roomId: string;
  tokens: string[];
  /** Each reads at some moment within this after a message has come. */
  withinMs: number;
}

export interface ReadersResult {
  marks: number;
  markMs: number[];
  refused: number;
  messages: number;
  pushes: number;
  bytes: number;
  /** As the first socket heard them. */
  receiptsOfOne: number;
  fewestPushes: number;
  mostPushes: number;
  /** Of the readers, those of whom the first socket knows in the end that they have read the newest message. */
  upToDate: number;
  /** From the beginning to the last push. */
  seconds: number;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const RECEIPT = '{"event":"read_receipt"';
const MESSAGE = '{"event":"message_received"';

class Reader {
  pushes = 0;
  bytes = 0;
  messages = 0;
  marks = 0;
  refused = 0;
  readonly markMs: number[] = [];
  readonly known = new Map<string, number>();
  receipts = 0;
  newest = 0;
  reads = false;
  readonly #socket: WebSocket;
  readonly #asked = new Map<number, number>();
  readonly #looks: boolean;
  readonly #withinMs: number;
  #onAck: () => void = () => {};

  constructor(ask: ReadersAsk, token: string, looks: boolean) {
    this.#looks = looks;
    this.#withinMs = ask.withinMs;
    this.#socket = new WebSocket(`${ask.url.replace("http", "ws")}/ws`, [
      "scroll-chat.v1",
      `bearer.${token}`,
    ]);
    this.#socket.onmessage = ({ data }) => this.#take(data);
  }

  get waiting(): number {
    return this.#asked.size;
  }

  async join(roomId: string): Promise<void> {
    if (this.#socket.readyState === WebSocket.CONNECTING) {
      await new Promise((resolve) => this.#socket.onopen = resolve);
    }
    const joined = new Promise<void>((resolve) => this.#onAck = resolve);
    this.#ask("join_room", { roomId });
    await joined;
    this.reset();
  }

  reset(): void {
    Object.assign(this, { pushes: 0, bytes: 0, messages: 0, marks: 0, refused: 0, receipts: 0, newest: 0 });
    this.markMs.length = 0;
    this.known.clear();
  }

  #ask(event: string, data: unknown): void {
    const id = Math.floor(Math.random() * 2 ** 52);
    this.#asked.set(id, performance.now());
    this.#socket.send(JSON.stringify({ event, data, id }));
  }

  #take(text: string): void {
    if (text.startsWith(RECEIPT)) {
      this.pushes++;
      lastPushAt = performance.now();
      this.bytes += text.length;
      if (!this.#looks) return;
      for (const { userId, lastReadSeq } of JSON.parse(text).data.receipts) {
        this.receipts++;
        this.known.set(userId, lastReadSeq);
      }
    } else if (text.startsWith(MESSAGE)) {
      this.messages++;
      const { id, seq } = JSON.parse(text).data.message;
      this.newest = seq;
      if (this.reads) {
        setTimeout(() => this.#ask("mark_as_read", { messageId: id }), Math.random() * this.#withinMs);
      }
    } else if (text.startsWith('{"ack":')) {
      const { ack, error } = JSON.parse(text);
      this.markMs.push(performance.now() - (this.#asked.get(ack) ?? 0));
      this.#asked.delete(ack);
      if (error === undefined) this.marks++;
      else this.refused++;
      this.#onAck();
    }
  }
}

const readers: Reader[] = [];
let withinMs = 0;
let began = 0;
let lastPushAt = 0;

async function take(word: ReadersWord): Promise<ReadersResult | undefined> {
  if (word === "result") {
    await settle();
    return result(Math.max(0, lastPushAt - began));
  }
  if (typeof word === "object") {
    withinMs = word.withinMs;
    for (const [i, token] of word.tokens.entries()) {
      const reader = new Reader(word, token, i === 0);
      await reader.join(word.roomId);
      readers.push(reader);
    }
    return;
  }
  for (const reader of readers) {
    reader.reset();
    reader.reads = word === "read";
  }
  began = performance.now();
}

/** Nothing is on its way any more. */
async function settle(): Promise<void> {
  await pause(withinMs);
  for (let quiet = 0, heard = -1; quiet < 4;) {
    await pause(RECEIPTS_WINDOW_MS * 2);
    const now = readers.reduce((sum, { pushes, marks, waiting }) => sum + pushes + marks + waiting * 1e6, 0);
    quiet = now === heard && readers.every(({ waiting }) => waiting === 0) ? quiet + 1 : 0;
    heard = now;
  }
}

function result(ms: number): ReadersResult {
  const sum = (of: (reader: Reader) => number): number => readers.reduce((all, each) => all + of(each), 0);
  const first = readers[0] as Reader;
  const pushes = readers.map((reader) => reader.pushes);
  return {
    marks: sum(({ marks }) => marks),
    markMs: readers.flatMap(({ markMs }) => markMs),
    refused: sum(({ refused }) => refused),
    messages: sum(({ messages }) => messages),
    pushes: sum((reader) => reader.pushes),
    bytes: sum(({ bytes }) => bytes),
    receiptsOfOne: first.receipts,
    fewestPushes: Math.min(...pushes),
    mostPushes: Math.max(...pushes),
    upToDate: [...first.known.values()].filter((seq) => seq === first.newest).length,
    seconds: ms / 1000,
  };
}

interface WorkerSelf {
  onmessage: (event: MessageEvent<ReadersWord>) => Promise<void>;
  postMessage(result: ReadersResult | undefined): void;
}
const worker = self as unknown as WorkerSelf;
worker.onmessage = async ({ data }) => worker.postMessage(await take(data));
