/**
 * Garbage at every command of both doors: no 500, no crash, nothing unhandled, and nothing of what somebody else keeps
 * to themselves; what comes back is always an answer. A hundred thousand bad frames leave memory as it was.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { type CommandName, commands } from "../../src/protocol/commands.ts";
import { frame, joinBytes, OPCODE, RawClient, textFrame } from "../helpers/raw_client.ts";
import type { RestAnswer } from "../helpers/rest_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { anyJson, fieldsFor, objectText } from "./garbage.ts";
import { MIB, pause, startTarget, type Target } from "./target.ts";

const CANARY = "canary-7f3a9";
/** A hundred times as many find no more than a minute longer: FUZZ_RUNS. */
const RUNS = Number(Deno.env.get("FUZZ_RUNS") ?? 25);
const NAMES = Object.keys(commands) as CommandName[];

/** What others keep to themselves, and ids of everything there is. */
async function plant(target: Target): Promise<string[]> {
  const made = (answer: RestAnswer) => {
    ok(answer.status === 201, JSON.stringify(answer.body));
    return answer.body;
  };
  const keeper = await target.rest("keeper");
  const mallory = await target.rest("mallory");
  await (await target.rest("friend")).get("/rooms");
  const { room } = made(
    await keeper.post("/rooms", { name: `${CANARY} room`, type: "PRIVATE", description: CANARY }),
  );
  const said = made(await keeper.post("/messages", { roomId: room.id, content: `${CANARY} said` })).message;
  const told =
    made(await keeper.post("/direct-messages", { recipientId: "friend", content: `${CANARY} told` })).message;
  const own = made(await mallory.post("/rooms", { name: "own" })).room;
  const public_ = made(await keeper.post("/rooms", { name: "public" })).room;
  const mine = made(await mallory.post("/messages", { roomId: own.id, content: "mine" })).message;
  const absent = "01890a5d-ac96-774b-bcce-b302099a8057";
  return [
    room.id,
    said.id,
    told.id,
    told.roomId,
    own.id,
    public_.id,
    mine.id,
    absent,
    "keeper",
    "friend",
    "mallory",
  ];
}

/** Whatever the server said to mallory. */
function requireHarmless(said: string, asked: string): void {
  ok(!said.includes(CANARY), `Leaked to ${asked.slice(0, 500)}: ${said.slice(0, 500)}`);
  ok(!/"code":"internal"/.test(said), `internal to ${asked.slice(0, 500)}`);
}

/** A socket that is opened anew when the server has closed it, for good reason. */
class Hammer implements Disposable {
  readonly #target: Target;
  readonly #token: string;
  readonly #protocol: string | undefined;
  #client: RawClient | undefined;
  #id = 0;
  closes = 0;

  constructor(target: Target, token: string, protocol?: string) {
    this.#target = target;
    this.#token = token;
    this.#protocol = protocol;
  }

  /** The bytes, and what was said until an honest command after them was answered, or until the close. */
  async strike(bytes: Uint8Array, asked: string): Promise<void> {
    this.#client ??= await RawClient.open(this.#target.port, {
      token: this.#token,
      protocol: this.#protocol,
    });
    const client = this.#client;
    const id = `probe ${++this.#id}`;
    await client.write(joinBytes(bytes, textFrame({ event: "list_blocked", id })));
    const said = () => client.frames.map(({ payload }) => new TextDecoder().decode(payload)).join("\n");
    await client.until(
      () => client.closeFrame !== undefined || said().includes(id),
      `an answer to ${asked.slice(0, 500)}`,
    );
    requireHarmless(said(), asked);
    client.frames.length = 0;
    if (client.closeFrame === undefined) return;
    ok(
      [1009, 4009].includes(client.closeFrame.code ?? 0),
      `${client.closeFrame.code} for ${asked.slice(0, 500)}`,
    );
    this.closes++;
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#client?.close();
    this.#client = undefined;
  }
}

/** Lines that are no log are a runtime's last words. */
function requireLogged(target: Target): void {
  target.requireNoFaults();
  deepStrictEqual(target.node.lines.filter((line) => !line.startsWith("{")), []);
}

Deno.test("garbage at every command of the native socket is refused, and leaks nothing", async (t) => {
  await using target = await startTarget();
  const ids = await plant(target);
  using hammer = new Hammer(target, await signToken("mallory"));
  for (const command of NAMES) {
    await t.step(command, async () => {
      const input = fc.oneof(
        { weight: 5, arbitrary: fieldsFor(command, ids).map(objectText) },
        { weight: 1, arbitrary: anyJson },
      );
      await fc.assert(
        fc.asyncProperty(input, fc.boolean(), async (data, acked) => {
          const asked = `{"event":"${command}","data":${data}${acked ? ',"id":1' : ""}}`;
          await hammer.strike(frame({ payload: asked }), asked);
        }),
        { numRuns: RUNS, endOnFailure: true },
      );
    });
  }
  requireLogged(target);
});

Deno.test("garbage at every route of REST is refused, and leaks nothing", async (t) => {
  await using target = await startTarget();
  const ids = await plant(target);
  const token = await signToken("mallory");
  for (const command of NAMES) {
    const { rest } = commands[command];
    if (rest === undefined) continue;
    await t.step(`${rest.method} ${rest.path}`, async () => {
      await fc.assert(
        fc.asyncProperty(fieldsFor(command, ids), fc.option(anyJson, { freq: 6 }), async (fields, other) => {
          const { path, body } = place(rest, fields, other);
          const response = await fetch(target.node.url + path, {
            method: rest.method,
            headers: {
              authorization: `Bearer ${token}`,
              ...(body === undefined ? {} : { "content-type": "application/json" }),
            },
            ...(body === undefined ? {} : { body }),
          });
          const said = await response.text();
          const asked = `${rest.method} ${path} ${body}`;
          ok(response.status < 500, `${response.status} to ${asked.slice(0, 500)}`);
          requireHarmless(said, asked);
          // a path that is too long, or climbs out of the API, is answered by whoever it is for
          if (response.headers.get("content-type")?.startsWith("application/json")) JSON.parse(said);
        }),
        { numRuns: RUNS, endOnFailure: true },
      );
    });
  }
  requireLogged(target);
});

Deno.test("frames that are no commands are refused, whole, cut, in batches and in binary", async () => {
  await using target = await startTarget();
  const ids = await plant(target);
  const token = await signToken("mallory");
  using plain = new Hammer(target, token);
  using batching = new Hammer(target, token, "scroll-chat.v1.batch");
  const command = fc.constantFrom(...NAMES).chain((name) =>
    fieldsFor(name, ids).map((fields) => `{"event":"${name}","data":${objectText(fields)},"id":1}`)
  );
  const odd = fc.tuple(anyJson, anyJson, anyJson).map(([event, data, id]) =>
    `{"event":${event},"data":${data},"id":${id}}`
  );
  const whole = fc.oneof(
    anyJson,
    odd,
    command,
    fc.array(fc.oneof(command, odd, anyJson), { maxLength: 5 }).map((all) => `[${all}]`),
  );
  const cut = fc.tuple(whole, fc.double({ min: 0, max: 1, noNaN: true })).map(([all, share]) =>
    all.slice(0, Math.floor(all.length * share)).toWellFormed()
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(whole, cut), fc.boolean(), fc.boolean(), async (asked, batch, isBinary) => {
      const bytes = frame({ opcode: isBinary ? OPCODE.binary : OPCODE.text, payload: asked });
      await (batch ? batching : plain).strike(bytes, asked);
    }),
    { numRuns: 20 * RUNS, endOnFailure: true },
  );
  requireLogged(target);
});

Deno.test("100,000 bad frames leave memory as it was", async () => {
  await using target = await startTarget();
  const token = await signToken("mallory");
  const BAD = [
    frame({ payload: "{" }),
    frame({ payload: "[".repeat(1_000) }),
    frame({ payload: '{"event":"__proto__","id":1}' }),
    frame({
      payload: `{"event":"send_message","data":{"content":"${"a".repeat(2_000)}"},"id":${"9".repeat(30)}}`,
    }),
    frame({ opcode: OPCODE.binary, payload: new Uint8Array(2_000) }),
  ];
  /** As many as a socket is let; then the next. */
  const strike = async (sockets: number): Promise<number> => {
    let answered = 0;
    for (let i = 0; i < sockets; i++) {
      const client = await RawClient.open(target.port, { token });
      client.keepFrames = false;
      await client.write(joinBytes(...new Array(100).fill(joinBytes(...BAD))));
      await client.until(() => client.closeFrame !== undefined || client.framesRead > 500, "500 answers");
      answered += client.framesRead - 1;
      client.close();
    }
    return answered;
  };
  await strike(200); // the heap takes what it needs
  await pause(1_000);
  const base = target.rss().now;
  const answered = await strike(200);
  await pause(1_000);
  const grown = (target.rss().now - base) / MIB;
  ok(answered >= 99_000, `${answered} answered`);
  ok(grown < 50, `${grown} MiB more`);
  requireLogged(target);
});

/** Fields where the route has them, whatever is in them. */
function place(
  rest: { method: string; path: string },
  fields: Record<string, string>,
  other: string | null,
): { path: string; body: string | undefined } {
  const left = { ...fields };
  const plain = (json: string) =>
    (json.startsWith('"') ? String(JSON.parse(json)) : json).slice(0, 4_000).toWellFormed();
  const path = rest.path.replace(/:(\w+)/g, (_, name: string) => {
    const value = left[name] ?? '"x"';
    delete left[name];
    return encodeURIComponent(plain(value));
  });
  if (rest.method !== "GET" && rest.method !== "DELETE") return { path, body: other ?? objectText(left) };
  const query = new URLSearchParams(
    Object.entries(left).map(([name, value]) => [name.toWellFormed(), plain(value)]),
  );
  return { path: query.size === 0 ? path : `${path}?${query}`.slice(0, 8_000), body: undefined };
}
