/**
 * Doors: one client for every transport, so that one suite can knock at each. All that comes through one is held
 * against the contract, pushes that nobody waits for too; what did not fit, and whatever the server had to log as an
 * error, fails the test when its doors close.
 */
import { commands, isCommandName } from "../../src/protocol/commands.ts";
import { type ErrorCode, errorCodes } from "../../src/protocol/errors.ts";
import { requireAnswerFits, requireErrorFits, requirePushFits } from "./contract.ts";
import { startTestApp, type TestApp, type TestAppOptions, type TestClaims } from "./test_app.ts";
import type { Json, ReceivedPush, ReceivedPushes } from "./received_pushes.ts";
import { connectSocketIo, type Transports } from "./socketio_client.ts";
import { connectSocket, Refused, type TestSocket } from "./test_socket.ts";

export type { Json };

/** Commands go in, pushes come out. */
export interface CallingSocket extends ReceivedPushes {
  call(command: string, input?: unknown): Promise<Json>;
  close(): Promise<void>;
}

export interface DoorClient {
  readonly userId: string;
  /** The answer; rejects with Refused, which has the code. */
  call(command: string, input?: unknown): Promise<Json>;
}

export interface Door<S extends CallingSocket = CallingSocket> {
  readonly name: DoorName;
  as(user: string, claims?: TestClaims): Promise<DoorClient>;
  /** Signs in with this very token; rejects with Refused. Without one: whoever asks is nobody. */
  enter(token: string | undefined): Promise<DoorClient>;
  /** Somebody who also hears: on REST over a native socket. */
  ear(user: string, claims?: TestClaims): Promise<Ear<S>>;
}

export type DoorName = "rest" | "socket" | "socketio" | "socketio_polling";
export const DOOR_NAMES: readonly DoorName[] = ["rest", "socket", "socketio", "socketio_polling"];

/** All doors of one node. */
export class TestDoors implements AsyncDisposable {
  readonly app: TestApp;
  readonly rest: Door;
  readonly socket: Door<TestSocket>;
  readonly socketio: Door;
  readonly socketio_polling: Door;
  readonly #faults: unknown[];
  readonly #sockets: CallingSocket[] = [];

  constructor(app: TestApp, faults: unknown[]) {
    this.app = app;
    this.#faults = faults;
    const ear = (user: string, claims?: TestClaims) => this.#connect(user, claims);
    this.rest = {
      name: "rest",
      as: async (user, claims) => new RestDoorClient(app.url, user, await app.tokenFor(user, claims)),
      enter: async (token) => {
        const client = new RestDoorClient(app.url, "", token);
        if (token !== undefined) await client.call("list_blocked");
        return client;
      },
      ear,
    };
    this.socket = { name: "socket", as: ear, enter: (token) => this.#enter(token), ear };
    this.socketio = this.#socketIo("socketio", ["websocket"]);
    this.socketio_polling = this.#socketIo("socketio_polling", ["polling"]);
  }

  #socketIo(name: DoorName, transports: Transports): Door {
    const enter = async (token: string | undefined, user = ""): Promise<Ear<CallingSocket>> =>
      this.#watched(user, await connectSocketIo(this.app.url, token, { transports: [...transports] }));
    const ear = async (user: string, claims?: TestClaims) =>
      await enter(await this.app.tokenFor(user, claims), user);
    // nobody is let in without a token, so that is told to whatever they ask
    const nobody: DoorClient = { userId: "", call: () => enter(undefined) };
    return { name, as: ear, enter: async (token) => token === undefined ? nobody : await enter(token), ear };
  }

  async #connect(user: string, claims?: TestClaims): Promise<Ear<TestSocket>> {
    return this.#watched(user, await connectSocket(this.app.url, await this.app.tokenFor(user, claims)));
  }

  async #enter(token: string | undefined): Promise<Ear<TestSocket>> {
    const ear = this.#watched("", await connectSocket(this.app.url, undefined));
    if (token !== undefined) await ear.call("authenticate", { token });
    return ear;
  }

  #watched<S extends CallingSocket>(user: string, socket: S): Ear<S> {
    this.#sockets.push(socket);
    return new Ear(user, socket, this.#faults);
  }

  /** Closes everything; throws what broke the contract meanwhile, and what the server logged as its own fault. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
    await this.app[Symbol.asyncDispose]();
    if (this.#faults.length > 0) {
      throw new AggregateError(
        this.#faults,
        `Behind the test's back:\n${this.#faults.map(String).join("\n")}`,
      );
    }
  }
}

export async function startDoors(options: TestAppOptions = {}): Promise<TestDoors> {
  const faults: unknown[] = [];
  const onLog = (line: string): void => {
    options.onLog?.(line);
    if (JSON.parse(line).level === "error") faults.push(new Error(`The server logged ${line}`));
  };
  return new TestDoors(await startTestApp({ ...options, onLog }), faults);
}

/** The code with which a call is refused. Rejects if it is not. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await refusalOf(call)).code;
}

export async function refusalOf(call: Promise<unknown>): Promise<Refused> {
  let answer: unknown;
  try {
    answer = await call;
  } catch (fault) {
    if (fault instanceof Refused) return fault;
    throw fault;
  }
  throw new Error(`Not refused, but answered ${JSON.stringify(answer)?.slice(0, 500)}`);
}

/** A socket of any door. */
export class Ear<S extends CallingSocket = CallingSocket> implements DoorClient {
  readonly userId: string;
  readonly socket: S;

  /** Pushes that break the contract are added to `faults`. */
  constructor(userId: string, socket: S, faults: unknown[]) {
    this.userId = userId;
    this.socket = socket;
    const check = ({ event, data }: ReceivedPush): void => {
      try {
        if (event !== undefined) requirePushFits(event, data);
      } catch (fault) {
        faults.push(fault);
      }
    };
    for (const push of socket.pushes) check(push);
    socket.onPush = check;
  }

  async call(command: string, input: unknown = {}): Promise<Json> {
    let answer: unknown;
    try {
      answer = await this.socket.call(command, input);
    } catch (fault) {
      if (fault instanceof Refused) requireErrorFits(fault.body);
      throw fault;
    }
    requireAnswerFits(command, answer);
    return answer;
  }

  /** The first push, come or to come, that fits. */
  next(event: string, fits?: (data: Json) => boolean): Promise<Json> {
    return this.socket.next(event, fits);
  }

  events(event: string): Json[] {
    return this.socket.events(event);
  }

  /** Settles when so many have come. */
  until(event: string, count: number): Promise<void> {
    return this.socket.until(() => this.events(event).length >= count, `${count} pushes ${event}`);
  }

  /** Names of the pushes of a room so far, with their seq. */
  heardOf(roomId: string): string[] {
    return this.socket.pushes.filter(({ data }) => data.roomId === roomId && data.seq !== undefined)
      .map(({ event, data }) => `${event} ${data.seq}`);
  }

  /** Whatever was published on this node before this call has been pushed once it settles: then what is not there will not come. */
  async settled(): Promise<void> {
    await this.call("list_rooms", { limit: 1 });
  }
}

/** REST, by the command table: fields that the path names go there, the others into query or body. */
class RestDoorClient implements DoorClient {
  readonly userId: string;
  readonly #url: string;
  readonly #token: string | undefined;

  constructor(url: string, userId: string, token: string | undefined) {
    this.#url = url;
    this.userId = userId;
    this.#token = token;
  }

  async call(command: string, input: unknown = {}): Promise<Json> {
    const rest = isCommandName(command) ? commands[command].rest : undefined;
    if (rest === undefined) throw new TypeError(`REST has no ${command}`);
    const { path, body } = placeInput(rest, input);
    const response = await fetch(this.#url + path, {
      method: rest.method,
      headers: {
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body }),
    });
    const answer = await readAnswer(response);
    if (response.status !== rest.status) throw new Refused(answer.error.code, answer.error);
    requireAnswerFits(command, answer);
    return answer;
  }
}

/** A body that is JSON, and an error in its shape. Whatever REST answers passes here. */
export async function readAnswer(response: Response): Promise<Json> {
  const text = await response.text();
  const at = `${response.status} ${response.url}`;
  for (
    const [name, value] of [["cache-control", "no-store"], ["x-content-type-options", "nosniff"]] as const
  ) {
    if (response.headers.get(name) !== value) {
      throw new Error(
        `${at}: ${name} is ${response.headers.get(name)}`,
      );
    }
  }
  const requestId = response.headers.get("x-request-id");
  if (!/^[0-9a-f-]{36}$/.test(requestId ?? "")) throw new Error(`${at}: x-request-id is ${requestId}`);
  if (!response.headers.get("content-type")?.startsWith("application/json")) {
    throw new Error(`${at}: not JSON: ${text}`);
  }
  const answer: Json = JSON.parse(text);
  if (response.ok) return answer;
  requireErrorFits(answer.error);
  const { code, requestId: told } = answer.error as { code: ErrorCode; requestId?: string };
  if (Object.keys(answer).length !== 1 || told !== requestId) throw new Error(`${at}: an odd error: ${text}`);
  if (errorCodes[code].status !== response.status) throw new Error(`${at}: not the status of ${code}`);
  return answer;
}

/** `input` may be anything, so that hostile clients can be played; only its own keys count. */
export function placeInput(
  rest: { method: string; path: string },
  input: unknown,
): { path: string; body: string | undefined } {
  const isObject = typeof input === "object" && input !== null && !Array.isArray(input);
  const fields: Record<string, unknown> = isObject ? { ...input } : {};
  const path = rest.path.replace(/:(\w+)/g, (_, name: string) => {
    const value = fields[name];
    delete fields[name];
    return encodeURIComponent(asText(value));
  });
  if (rest.method !== "GET" && rest.method !== "DELETE") {
    const left = isObject ? fields : input;
    return { path, body: isObject && Object.keys(fields).length === 0 ? undefined : JSON.stringify(left) };
  }
  const query = Object.entries(fields).filter(([, value]) => value !== undefined)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, asText(one)]));
  return { path: query.length === 0 ? path : `${path}?${new URLSearchParams(query)}`, body: undefined };
}

const asText = (value: unknown): string =>
  typeof value === "string" ? value.toWellFormed() : `${JSON.stringify(value)}`;
