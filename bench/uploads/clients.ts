/**
 * The clients: all begin at once, and come again when they are told that the node is busy, or are cut off. Then each
 * file is waited for, fetched by the next user, and held against its hash.
 */
import { createHash } from "node:crypto";
import { now, pause, Told } from "../hostile/child.ts";
import { contentOf, hashOf } from "./contents.ts";

export interface ClientsAsk {
  url: string;
  roomId: string;
  /** One user for each upload. */
  tokens: string[];
  bytes: number;
  lengths: boolean;
}

export interface ClientsAnswer {
  uploadMs: number[];
  /** From the first byte to all files there. */
  wholeMs: number;
  scannedMs: number;
  busy: number;
  /** Told that their body came too slowly: this process could not send as fast. */
  slow: number;
  /** Cut off before an answer could be read. */
  cut: number;
  damaged: number;
  missing: number;
}

const BOUNDARY = "bench-boundary";
const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const FETCHES = 8;

const told = new Told();
const ask: ClientsAsk = JSON.parse(await told.next());
const answer: ClientsAnswer = {
  uploadMs: [],
  wholeMs: 0,
  scannedMs: 0,
  busy: 0,
  slow: 0,
  cut: 0,
  damaged: 0,
  missing: 0,
};

function bodyOf(n: number): { body: BodyInit; length: number } {
  const head = encode(
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="roomId"\r\n\r\n${ask.roomId}\r\n--${BOUNDARY}\r\n` +
      `Content-Disposition: form-data; name="attachments"; filename="file${n}.png"\r\nContent-Type: image/png\r\n\r\n`,
  );
  const tail = encode(`\r\n--${BOUNDARY}--\r\n`);
  const length = head.length + ask.bytes + tail.length;
  function* pieces() {
    yield head;
    yield* contentOf(n, ask.bytes);
    yield tail;
  }
  if (!ask.lengths) return { body: ReadableStream.from(pieces()), length };
  return { body: new Blob([...pieces()]), length };
}

async function upload(n: number): Promise<string> {
  const began = now();
  for (;;) {
    const { body } = bodyOf(n);
    try {
      const response = await fetch(`${ask.url}/api/chat/messages`, {
        method: "POST",
        headers: {
          "authorization": `Bearer ${ask.tokens[n]}`,
          "content-type": `multipart/form-data; boundary=${BOUNDARY}`,
        },
        body,
      });
      const text = await response.text();
      if (response.status === 201) {
        answer.uploadMs.push(now() - began);
        return JSON.parse(text).message.attachments[0].id;
      }
      if (response.status === 408) answer.slow++;
      else if (response.status === 503) answer.busy++;
      else throw new Error(`${response.status} ${text}`);
      await pause(Number(response.headers.get("retry-after") ?? 1) * 1_000 * (0.75 + Math.random() / 2));
    } catch (fault) {
      if (!(fault instanceof TypeError)) throw fault;
      answer.cut++;
      await pause(1_000 * (0.5 + Math.random()));
    }
  }
}

/** By somebody else, once it is clean. */
async function check(n: number, id: string): Promise<void> {
  const headers = { authorization: `Bearer ${ask.tokens[(n + 1) % ask.tokens.length]}` };
  for (let tries = 0; tries < 600; tries++) {
    const response = await fetch(`${ask.url}/api/chat/files/${id}`, { headers });
    if (response.status === 200) {
      answer.scannedMs = Math.max(answer.scannedMs, now() - began);
      const hash = createHash("sha256");
      for await (const piece of response.body ?? []) hash.update(piece);
      if (hash.digest("hex") !== hashOf(contentOf(n, ask.bytes))) answer.damaged++;
      return;
    }
    await response.body?.cancel();
    await pause(200);
  }
  answer.missing++;
}

const began = now();
const ids = await Promise.all(ask.tokens.map((_, n) => upload(n)));
answer.wholeMs = now() - began;
const left = [...ids.entries()];
await Promise.all(Array.from({ length: FETCHES }, async () => {
  for (let next = left.shift(); next !== undefined; next = left.shift()) await check(...next);
}));
told.answer(answer);
