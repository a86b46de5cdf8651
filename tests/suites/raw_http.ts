/** HTTP written by hand, for what no client library would send: odd paths, lying lengths, upgrades that are refused. */
import { type Json, readAnswer } from "../helpers/doors.ts";

/** The first answer to these bytes. The connection is closed afterwards. */
export async function rawRequest(port: number, ...parts: (string | Uint8Array)[]): Promise<Response> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const encoder = new TextEncoder();
  const send = async (): Promise<void> => {
    for (const part of parts) {
      const bytes = typeof part === "string" ? encoder.encode(part) : part;
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    }
  };
  const sent = send().catch(() => {}); // the server may have answered and gone before all was sent
  const response = await readResponse(connection);
  await sent;
  return response;
}

async function readResponse(connection: Deno.Conn): Promise<Response> {
  const decoder = new TextDecoder("latin1");
  const chunk = new Uint8Array(65_536);
  let text = "";
  for (;;) {
    const count = await connection.read(chunk).catch(() => null);
    if (count !== null) text += decoder.decode(chunk.subarray(0, count));
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) {
      const [statusLine = "", ...lines] = text.slice(0, end).split("\r\n");
      const headers = new Headers(lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }));
      const body = text.slice(end + 4);
      const status = Number(statusLine.split(" ")[1]);
      const isWhole = status === 101 || status === 204 ||
        body.length >= Number(headers.get("content-length") ?? Infinity);
      if (isWhole || count === null) {
        return new Response(status === 204 || status < 200 ? null : body, {
          status: Math.max(status, 200),
          headers,
        });
      }
    }
    if (count === null) throw new Error(`No answer, but ${JSON.stringify(text.slice(0, 200))}`);
  }
}

/** A request for an upgrade: the status and, if it is refused, the error. */
export async function rawUpgrade(
  port: number,
  headers: Record<string, string> = {},
  path = "/ws",
): Promise<{ status: number; code: string | undefined; headers: Headers }> {
  const all = {
    "host": `127.0.0.1:${port}`,
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== "").map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  const response = await rawRequest(port, `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const isOpen = response.headers.has("sec-websocket-accept");
  if (isOpen) return { status: 101, code: undefined, headers: response.headers };
  const answer: Json = await readAnswer(response);
  return { status: response.status, code: answer.error.code, headers: response.headers };
}
