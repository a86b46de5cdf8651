/** Bodies of requests: their type, their size however it is sent, their encoding, and what is in them. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Json, readAnswer, startDoors, type TestDoors } from "../helpers/doors.ts";
import { rawRequest } from "../suites/raw_http.ts";

const LIMIT = 4_096;
const OPTIONS = { env: { SOCKET_MAX_BUFFER_SIZE: `${LIMIT}` } };
const JSON_TYPE = { "content-type": "application/json" };

async function post(
  doors: TestDoors,
  body: BodyInit | null,
  headers: Record<string, string> = JSON_TYPE,
  path = "/api/chat/rooms",
): Promise<[status: number, code?: string]> {
  const authorization = `Bearer ${await doors.app.tokenFor("ada")}`;
  const response = await fetch(doors.app.url + path, {
    method: "POST",
    headers: { authorization, ...headers },
    body,
  });
  const answer: Json = await readAnswer(response);
  return answer.error === undefined ? [response.status] : [response.status, answer.error.code];
}

Deno.test("readJson() takes JSON by its type, and nothing else", async () => {
  await using doors = await startDoors(OPTIONS);
  const room = '{"name":"a room"}';
  for (
    const type of ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
  ) {
    deepStrictEqual(await post(doors, room, { "content-type": type }), [201], type);
  }
  for (
    const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/json-patch+json",
      "application/jsonp",
      "x",
    ]
  ) {
    deepStrictEqual(await post(doors, room, { "content-type": type }), [415, "unsupported_media_type"], type);
  }
  const form = new FormData();
  form.append("name", "a room");
  deepStrictEqual(await post(doors, form, {}), [415, "unsupported_media_type"]);
  deepStrictEqual(await post(doors, new Blob([room]), {}), [415, "unsupported_media_type"]);
});

Deno.test("readJson() takes no body for an empty object, whatever type it is said to be", async () => {
  await using doors = await startDoors(OPTIONS);
  const ada = await doors.rest.as("ada");
  const { room } = await ada.call("create_room", { name: "to join" });
  const path = `/api/chat/rooms/${room.id}/join`;
  for (const headers of [{}, JSON_TYPE, { "content-type": "application/x-www-form-urlencoded" }]) {
    deepStrictEqual(await post(doors, null, headers, path), [200]);
    deepStrictEqual(await post(doors, "", headers, path), [200]);
  }
  deepStrictEqual(await post(doors, null), [400, "invalid_request"]); // a name is missing
});

Deno.test("readJson() refuses a body that is too large, also one that does not say so beforehand", async () => {
  await using doors = await startDoors(OPTIONS);
  const bodyOf = (bytes: number): string => `{"name":"x"${" ".repeat(bytes - 12)}}`;
  strictEqual(new TextEncoder().encode(bodyOf(LIMIT)).length, LIMIT);
  const stream = (text: string) =>
    ReadableStream.from(text.match(/.{1,500}/gs) ?? []).pipeThrough(new TextEncoderStream());
  deepStrictEqual(await post(doors, bodyOf(LIMIT)), [201]);
  deepStrictEqual(await post(doors, stream(bodyOf(LIMIT))), [201]);
  deepStrictEqual(await post(doors, bodyOf(LIMIT + 1)), [413, "too_large"]);
  deepStrictEqual(await post(doors, stream(bodyOf(LIMIT + 1))), [413, "too_large"]);
  deepStrictEqual(await post(doors, "🕊".repeat(LIMIT / 2)), [413, "too_large"]);
  // chunks without end: answered long before
  const authorization = `authorization: Bearer ${await doors.app.tokenFor("ada")}\r\n`;
  const head =
    `POST /api/chat/rooms HTTP/1.1\r\nhost: a\r\n${authorization}content-type: application/json\r\n`;
  const chunk = `400\r\n${" ".repeat(1_024)}\r\n`;
  const endless = await rawRequest(
    doors.app.app.port,
    `${head}transfer-encoding: chunked\r\n\r\n`,
    chunk.repeat(8),
  );
  deepStrictEqual([endless.status, (await readAnswer(endless)).error.code], [413, "too_large"]);
  const lying = await rawRequest(doors.app.app.port, `${head}content-length: 99999999999\r\n\r\n{}`);
  deepStrictEqual([lying.status, (await readAnswer(lying)).error.code], [413, "too_large"]);
});

Deno.test("readJson() refuses an encoding, bytes that are not UTF-8, and text that is not JSON", async () => {
  await using doors = await startDoors(OPTIONS);
  const room = '{"name":"a room"}';
  const zipped = await new Response(new Blob([room]).stream().pipeThrough(new CompressionStream("gzip")))
    .arrayBuffer();
  for (
    const [encoding, body] of [["gzip", zipped], ["gzip", room], ["br", room], ["identity", room]] as const
  ) {
    const headers = { ...JSON_TYPE, "content-encoding": encoding };
    deepStrictEqual(await post(doors, body, headers), [415, "unsupported_media_type"], encoding);
  }
  const bytes = (...more: number[]) =>
    new Uint8Array([...new TextEncoder().encode('{"name":"'), ...more, 0x22, 0x7d]);
  deepStrictEqual(await post(doors, bytes(0x61)), [201]);
  for (const more of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0x80]]) {
    deepStrictEqual(await post(doors, bytes(...more)), [400, "invalid_request"], `${more}`);
  }
  for (
    const text of [
      "{",
      "nope",
      "{'name':'x'}",
      '{"name":"x"}{}',
      '{"name":"x",}',
      "\u0000",
      '{"name":"a\nb"}',
      "NaN",
    ]
  ) {
    deepStrictEqual(await post(doors, text), [400, "invalid_request"], text);
  }
  for (
    const value of [
      "[]",
      "7",
      "null",
      '"text"',
      "true",
      '[{"name":"x"}]',
      "[".repeat(2_000) + "]".repeat(2_000),
    ]
  ) {
    deepStrictEqual(await post(doors, value), [400, "invalid_request"], value.slice(0, 20));
  }
});

Deno.test("a field of the path cannot be named again in the body", async () => {
  await using doors = await startDoors(OPTIONS);
  const ada = await doors.rest.as("ada");
  const [mine, other] = [
    await ada.call("create_room", { name: "mine" }),
    await ada.call("create_room", { name: "other" }),
  ];
  const path = `/api/chat/rooms/${mine.room.id}/join`;
  deepStrictEqual(await post(doors, JSON.stringify({ roomId: other.room.id }), JSON_TYPE, path), [
    400,
    "invalid_request",
  ]);
  deepStrictEqual(await post(doors, '{"__proto__":{"roomId":"x"}}', JSON_TYPE, path), [
    400,
    "invalid_request",
  ]);
});
