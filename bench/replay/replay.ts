/**
 * Replay: plays recorded days of a channel through a running server, one room a file, and checks that every
 * listener got every message that it should have: once, in order, as history and search have it.
 */
import { basename, extname } from "node:path";
import type { Door } from "./door.ts";
import { parseIrcLines } from "./irc_lines.ts";
import { nativeDoor } from "./native_door.ts";
import { type ReplayReport, type RoomResult, totalOf } from "./report.ts";
import { playRoom } from "./room_play.ts";
import { type Script, toScript } from "./script.ts";
import { developmentTokens, type TokenFor, Unplayable } from "./tokens.ts";
import { Window } from "./window.ts";

export interface ReplayOptions {
  /** Of the server, such as http://localhost:3001; several nodes: listeners are spread among them, REST asks the first. */
  serverUrls: readonly string[];
  files: readonly string[];
  /** So many times as fast as recorded; undefined: as fast as it goes. */
  speed?: number | undefined;
  /** All files at once instead of one after the other. */
  together?: boolean;
  /** How many words to search for in each room. */
  searches?: number;
  door?: Door;
  tokenFor?: TokenFor;
  /** Rejects with its reason; all sockets are closed first. */
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

export interface Progress {
  /** The room that a step belonged to. */
  name: string;
  /** Of all rooms. */
  stepsDone: number;
  steps: number;
}

const SEARCHES_DEFAULT = 50;
const STEPS_AT_ONCE = 500;

/** Throws Unplayable if it cannot even begin. */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const { serverUrls, speed, together = false, searches = SEARCHES_DEFAULT } = options;
  const [serverUrl = ""] = serverUrls;
  const run = `replay-${crypto.randomUUID().slice(0, 8)}`;
  const startedAt = new Date().toISOString();
  const scripts = await Promise.all(options.files.map(readScript));
  await Promise.all(serverUrls.map(reach));
  const door = options.door ?? nativeDoor(serverUrls);
  const steps = scripts.reduce((sum, script) => sum + script.steps.length, 0);
  let stepsDone = 0;
  const window = new Window(STEPS_AT_ONCE);
  const stop = new AbortController();
  const play = (script: Script, index: number): Promise<RoomResult> =>
    playRoom(script, {
      // one file's users are not another's: a nick has one socket a room, and both may play at once
      run: `${run}-${index + 1}`,
      serverUrl,
      door,
      tokenFor: options.tokenFor ?? developmentTokens(serverUrl),
      speed,
      searches,
      window,
      signal: options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]),
      onStep: () => options.onProgress?.({ name: script.name, stepsDone: ++stepsDone, steps }),
    });

  const results: RoomResult[] = [];
  if (together) results.push(...await allOrNone(scripts.map(play), stop));
  else for (const [index, script] of scripts.entries()) results.push(await play(script, index));

  const total = totalOf(results, together);
  const rooms = results.map((result) => result.report);
  return {
    run,
    serverUrl: serverUrls.join(" "),
    door: door.name,
    speed,
    startedAt,
    ok: total.faultCount === 0,
    rooms,
    total,
  };
}

/** One play's failure stops the others; nothing is left running. */
async function allOrNone(
  plays: readonly Promise<RoomResult>[],
  stop: AbortController,
): Promise<RoomResult[]> {
  try {
    return await Promise.all(plays);
  } catch (fault) {
    stop.abort(fault);
    await Promise.allSettled(plays);
    throw fault;
  }
}

async function readScript(file: string): Promise<Script> {
  const name = basename(file, extname(file));
  try {
    return toScript(parseIrcLines(await Deno.readTextFile(file), file), name);
  } catch (fault) {
    if (fault instanceof TypeError) throw new Unplayable(fault.message);
    if (fault instanceof Deno.errors.NotFound) throw new Unplayable(`There is no file ${file}`);
    throw fault;
  }
}

async function reach(serverUrl: string): Promise<void> {
  try {
    const response = await fetch(serverUrl, { signal: AbortSignal.timeout(10_000), redirect: "manual" });
    await response.body?.cancel();
  } catch (fault) {
    const why = fault instanceof Error ? fault.message : String(fault);
    throw new Unplayable(`Cannot reach ${serverUrl}: is the server running? (${why})`);
  }
}
