/** The command line of `deno task replay`, as options. All that is wrong with it is told by an Unplayable. */
import { parseArgs } from "node:util";
import { DOOR_NAMES, type DoorName } from "./doors.ts";
import { signedTokens, type TokenFor, Unplayable } from "./tokens.ts";

export const USAGE = `deno task replay [options] FILE…

Plays recorded chat (JSON lines: at, kind, nick, text, replyTo) through a running server, one room a file,
and checks that every listener got every message it should have. Exits with 0 only if nothing was amiss.

  --url URL               the server (default http://localhost:3001); several: sockets are spread among them
  --door NAME             how listeners connect: native (default), socketio (socket.io-client: polling, then an
                          upgrade), socketio-polling, or mixed (all of these and websocket only, in turn)
  --flat-out              as fast as it goes (default)
  --speed N               N times as fast as recorded
  --together              all files at once, not one after the other
  --searches N            words to search for in each room (default 50)
  --json PATH             write the report there as JSON
  --jwt-secret-file PATH  sign tokens with the secret in this file (default: the variable JWT_SECRET;
                          without either, a development server is asked for tokens)
`;

export interface CommandLine {
  /** The first is asked what is asked over REST. */
  serverUrls: string[];
  files: string[];
  door: DoorName;
  speed: number | undefined;
  together: boolean;
  searches: number;
  jsonPath: string | undefined;
  /** Undefined: a development server is asked. */
  tokenFor: TokenFor | undefined;
}

/** Undefined if only help was asked for. */
export function readCommandLine(
  args: readonly string[],
  env: (name: string) => string | undefined = (name) => Deno.env.get(name),
): CommandLine | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  if (values.speed !== undefined && values["flat-out"]) {
    throw new Unplayable("--speed and --flat-out exclude each other");
  }
  if (positionals.length === 0) throw new Unplayable("Which FILE? See --help");
  return {
    serverUrls: values.url.map(readUrl),
    files: positionals,
    door: readDoor(values.door),
    speed: values.speed === undefined ? undefined : readNumber("--speed", values.speed, 0.01),
    together: values.together,
    searches: Math.floor(readNumber("--searches", values.searches, 0)),
    jsonPath: values.json,
    tokenFor: readTokens(values["jwt-secret-file"], env),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: args.filter((arg) => arg !== "--"),
      allowPositionals: true,
      options: {
        url: { type: "string", multiple: true, default: ["http://localhost:3001"] },
        door: { type: "string", default: "native" },
        speed: { type: "string" },
        "flat-out": { type: "boolean", default: false },
        together: { type: "boolean", default: false },
        searches: { type: "string", default: "50" },
        json: { type: "string" },
        "jwt-secret-file": { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (fault) {
    throw new Unplayable(`${fault instanceof Error ? fault.message : fault}. See --help`);
  }
}

function readUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url.origin;
  throw new Unplayable(`--url: Expected http://… or https://…, not ${text}`);
}

function readDoor(text: string): DoorName {
  const name = DOOR_NAMES.find((known) => known === text);
  if (name === undefined) throw new Unplayable(`--door: Expected ${DOOR_NAMES.join(", ")}, not ${text}`);
  return name;
}

function readNumber(name: string, text: string, min: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (value >= min) return value;
  throw new Unplayable(`${name}: Expected a number from ${min}, not ${text}`);
}

function readTokens(
  secretFile: string | undefined,
  env: (name: string) => string | undefined,
): TokenFor | undefined {
  const secret = secretFile === undefined ? env("JWT_SECRET") : readSecret(secretFile);
  if (secret === undefined || secret === "") return undefined;
  return signedTokens({ secret, issuer: env("JWT_ISSUER"), audience: env("JWT_AUDIENCE") });
}

function readSecret(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch (fault) {
    throw new Unplayable(`--jwt-secret-file: ${fault instanceof Error ? fault.message : fault}`);
  }
}
