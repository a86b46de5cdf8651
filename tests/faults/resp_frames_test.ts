import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { frameEnd, type Mischief, publicationMangler } from "./resp_frames.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const publication = (channel: string, payload: string): string =>
  `>3\r\n$7\r\nmessage\r\n$${channel.length}\r\n${channel}\r\n$${payload.length}\r\n${payload}\r\n`;

const FRAMES = [
  ...["+PONG\r\n", ":12\r\n", "$-1\r\n", "$0\r\n\r\n", "*-1\r\n", "$5\r\na\r\nb!\r\n", "#t\r\n"],
  ...["*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "%1\r\n$1\r\nk\r\n*0\r\n", publication("room:1", "x\r\ny")],
];

Deno.test("frameEnd() finds the end of every kind of frame, and says when it is not there yet", () => {
  for (const frame of FRAMES) {
    const all = bytes(frame);
    strictEqual(frameEnd(bytes(`${frame}+MORE\r\n`), 0), all.length, frame);
    for (let cut = 0; cut < all.length; cut++) strictEqual(frameEnd(all.subarray(0, cut), 0), -1, frame);
  }
});

Deno.test("publicationMangler() passes all else whole, however it is cut, and loses publications only", () => {
  const counts = { heard: 0, dropped: 0, doubled: 0, late: 0 };
  const mischief: Mischief = {
    isOn: true,
    drop: 1,
    double: 0,
    late: 0,
    lateMs: 0,
    random: () => 0.5,
    counts,
  };
  const others = FRAMES.slice(0, -1).join("") + publication("beat:1", "");
  const stream = bytes(publication("p:room:1", "lost") + others + publication("p:inbox:1", "lost too"));
  for (let size = 1; size < stream.length; size++) {
    let passed = "";
    const mangle = publicationMangler(mischief);
    for (let from = 0; from < stream.length; from += size) {
      mangle(stream.subarray(from, from + size), (piece) => passed += new TextDecoder().decode(piece));
    }
    deepStrictEqual(passed, others);
  }
});
