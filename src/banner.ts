/** What `deno task dev` says when it is up: where, and commands to paste that work as they are. */

export interface BannerFacts {
  port: number;
  seconds: number;
  /** Whatever is uploaded is served. */
  unscanned: boolean;
  users: readonly { name: string; token: string }[];
}

export function banner({ port, seconds, unscanned, users }: BannerFacts): string {
  const at = `http://localhost:${port}`;
  const [one, other] = users;
  return `
Scroll Chat is up at ${at} (ready in ${seconds.toFixed(1)} s)

  API docs     ${at}/api/chat/docs
  WebSocket    ws://localhost:${port}/ws
  Health       ${at}/healthz
${unscanned ? UNSCANNED : ""}
Two users to try it with. Paste this into a shell:

  export ${one?.name.toUpperCase()}='${one?.token}'
  export ${other?.name.toUpperCase()}='${other?.token}'

  # a room, a message in it, one with a file, a direct message
  ROOM=$(curl -s ${at}/api/chat/rooms -H "Authorization: Bearer $${one?.name.toUpperCase()}" -H 'Content-Type: application/json' \\
    -d '{"name":"Study Group","type":"STUDY_GROUP"}' | sed 's/.*"room":{"id":"\\([^"]*\\)".*/\\1/')
  curl -s -X POST ${at}/api/chat/rooms/$ROOM/join -H "Authorization: Bearer $${other?.name.toUpperCase()}"
  curl -s ${at}/api/chat/messages -H "Authorization: Bearer $${one?.name.toUpperCase()}" -H 'Content-Type: application/json' \\
    -d "{\\"roomId\\":\\"$ROOM\\",\\"content\\":\\"Hello, world!\\"}"
  curl -s ${at}/api/chat/messages -H "Authorization: Bearer $${one?.name.toUpperCase()}" \\
    -F roomId=$ROOM -F content="Check out this file" -F attachments=@README.md
  curl -s ${at}/api/chat/direct-messages -H "Authorization: Bearer $${other?.name.toUpperCase()}" -H 'Content-Type: application/json' \\
    -d '{"recipientId":"${one?.name.toLowerCase()}","content":"Hello, ${one?.name}!"}'

  # tokens for anybody else (in development only)
  curl -s ${at}/dev/token -H 'Content-Type: application/json' -d '{"sub":"alan","name":"Alan"}'

Ctrl-C stops it.
`;
}

const UNSCANNED = `
  Files are NOT scanned for viruses here: set CLAMAV_REST_URL to have them scanned.
`;
