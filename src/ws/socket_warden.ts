/**
 * The socket warden: ends what the runtime cannot. Deno reads a message without limit, never gives up a peer that
 * does not finish its request, waits half a minute for one that does not answer a close, and stops listening for good
 * once it has no descriptor left. The warden looks at the kernel's own counters, gives each socket a narrow inlet, and
 * resets:
 *  - peers that have sent no complete request within 5 s of their coming;
 *  - sockets still there 2 s after we closed them;
 *  - sockets with more of an unfinished message than is right (unfinished.ts);
 *  - when descriptors run short, whoever is not a socket yet.
 * A socket is found again by its peer before every act, because descriptors are used again.
 */
import type { Log } from "../log.ts";
import { guard } from "./guard.ts";
import { type Libc, openLibc } from "./libc.ts";
import { Tally, toEnd, type UnfinishedLimits, unfinishedLimits } from "./unfinished.ts";

const TICK_MS = 20;
const LOOK_MS = 1_000;
/** So much more memory, and it is looked at once who brought it. */
const RSS_STEP_BYTES = 32 * 1024 * 1024;
/** Looking takes at most a fifth of the time, however many sockets there are. */
const PAUSE_FACTOR = 4;
const REQUEST_WITHIN_MS = 5_000;
const CLOSE_WITHIN_MS = 2_000;
/** Of the descriptors; beyond it newcomers are refused, and those go who only hold one. */
const CROWDED_SHARE = 0.75;
const CROWDED_REQUEST_WITHIN_MS = 200;
/** The kernel gives the lowest descriptor that is free: above the highest one known they follow closely. */
const FREE_IN_A_ROW = 512;
/** Of a peer's data the kernel takes this ahead of us: else the runtime reads one flood for a second and more. */
const AHEAD_BYTES = 64 * 1024;
const DESCRIPTORS_FEW = 4_096;

/** One upgraded socket to watch. */
export interface Watched {
  readonly peer: string;
  /** Complete messages so far. */
  messages: () => number;
}

/** Nothing here throws. */
export interface Watch {
  /** We have closed it: it has 2 s to be gone. */
  closing(): void;
  /** It has ended. */
  end(): void;
}

interface Socket {
  readonly watched: Watched;
  tally: Tally;
  fd: number | undefined;
  goneBy: number;
}

export interface WardenOptions {
  /** The port that peers come to, once there is one. */
  port: () => number;
  maxFrameBytes: number;
  log: Log;
  libc?: Libc;
  rssBytes?: () => number;
}

export class SocketWarden implements Disposable {
  readonly #options: WardenOptions;
  readonly #limits: UnfinishedLimits;
  readonly #libc: Libc | undefined;
  readonly #sockets = new Map<string, Socket>();
  /** In the order in which they were closed. */
  readonly #closing = new Set<Socket>();
  /** Peers that have sent a complete request, while they are connected, and when they sent their last. */
  readonly #known = new Map<string, number>();
  readonly #firstSeen = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lookedAt = -Infinity;
  #pauseUntil = 0;
  #rssThen = 0;
  #isCrowded = false;
  #isNarrow = false;
  #highestFd = 0;
  #cuts = 0;
  /** Of this tick: why, how many. */
  readonly #told = new Map<string, number>();

  constructor(options: WardenOptions) {
    this.#options = options;
    this.#limits = unfinishedLimits(options.maxFrameBytes);
    this.#libc = options.libc ?? openLibc();
    if (this.#libc === undefined) {
      options.log.warn("warden.off", {
        text: "No FFI to libc here: floods and half-open sockets are not cut. Put a proxy in front",
      });
      return;
    }
    const { limit } = this.#libc.descriptors();
    if (limit < DESCRIPTORS_FEW) {
      options.log.warn("warden.few_descriptors", {
        limit,
        text: `The process may have ${limit} descriptors: raise it (ulimit -n), each socket needs one`,
      });
    }
    this.#timer = setTimeout(() => this.#tick(), TICK_MS);
  }

  get isOn(): boolean {
    return this.#libc !== undefined;
  }

  /** Descriptors run short: whoever comes now should go elsewhere. */
  get isCrowded(): boolean {
    return this.#isCrowded;
  }

  get cuts(): number {
    return this.#cuts;
  }

  /** A complete request came from there. */
  greeted(peer: string): void {
    if (this.#libc !== undefined) this.#known.set(peer, performance.now());
  }

  watch(watched: Watched): Watch {
    const socket: Socket = { watched, tally: new Tally(), fd: undefined, goneBy: Infinity };
    this.#sockets.set(watched.peer, socket);
    return {
      closing: () => {
        socket.goneBy = performance.now() + CLOSE_WITHIN_MS;
        this.#closing.add(socket);
      },
      end: () => {
        this.#closing.delete(socket);
        // unless another has come from there in the meantime
        if (this.#sockets.get(watched.peer) === socket) this.#sockets.delete(watched.peer);
      },
    };
  }

  #tick(): void {
    guard(this.#options.log, "warden.fault", () => {
      const now = performance.now();
      if (!this.#isNarrow) this.#narrowInlet();
      this.#endClosed(now);
      const { limit, lowestFree } = this.#libc!.descriptors();
      this.#isCrowded = lowestFree > CROWDED_SHARE * limit;
      const rss = this.#options.rssBytes?.() ?? Deno.memoryUsage().rss;
      const isNews = this.#isCrowded || rss > this.#rssThen + RSS_STEP_BYTES;
      if (now - this.#lookedAt >= LOOK_MS || (isNews && now >= this.#pauseUntil)) {
        this.#rssThen = rss;
        this.#lookedAt = now;
        this.#scan(now);
        this.#look(now);
        const done = performance.now();
        this.#pauseUntil = done + PAUSE_FACTOR * (done - now);
      }
      for (const [why, count] of this.#told) this.#options.log.info("warden.cut", { why, count });
      this.#told.clear();
    });
    this.#timer = setTimeout(() => this.#tick(), TICK_MS);
  }

  #endClosed(now: number): void {
    for (const socket of this.#closing) {
      if (socket.goneBy > now) break;
      this.#closing.delete(socket);
      this.#cutSocket(socket, "not closed in time");
    }
  }

  #narrowInlet(): void {
    const port = this.#options.port();
    for (let fd = 0; fd < FREE_IN_A_ROW && !this.#isNarrow; fd++) {
      if (this.#libc!.localPortOf(fd) !== port || !this.#libc!.isListening(fd)) continue;
      this.#libc!.narrow(fd, AHEAD_BYTES);
      this.#isNarrow = true;
    }
  }

  /** All peers of our port: where they are, and who has not asked for anything. */
  #scan(now: number): void {
    const libc = this.#libc!;
    const port = this.#options.port();
    const present = new Set<string>();
    let highest = 0;
    for (let fd = 0; fd <= Math.max(highest, this.#highestFd) + FREE_IN_A_ROW; fd++) {
      const peer = libc.peerOf(fd);
      if (peer === undefined || libc.localPortOf(fd) !== port) continue;
      highest = fd;
      present.add(peer);
      const socket = this.#sockets.get(peer);
      if (socket === undefined) {
        if (this.#isTooLate(peer, now)) this.#cut(fd, "no request in time");
      } else {
        socket.fd = fd;
      }
    }
    this.#highestFd = highest;
    for (const peer of this.#known.keys()) if (!present.has(peer)) this.#known.delete(peer);
    for (const peer of this.#firstSeen.keys()) {
      if (!present.has(peer) || this.#known.has(peer)) this.#firstSeen.delete(peer);
    }
  }

  /** Of a peer that is no socket. */
  #isTooLate(peer: string, now: number): boolean {
    const askedAt = this.#known.get(peer);
    if (askedAt !== undefined) return this.#isCrowded && now - askedAt >= REQUEST_WITHIN_MS;
    const since = this.#firstSeen.get(peer);
    if (since === undefined) this.#firstSeen.set(peer, now);
    return now - (since ?? now) >= (this.#isCrowded ? CROWDED_REQUEST_WITHIN_MS : REQUEST_WITHIN_MS);
  }

  #look(now: number): void {
    for (const socket of this.#sockets.values()) {
      const fd = this.#fdOf(socket);
      if (fd !== undefined) socket.tally.look(now, this.#libc!.bytesReceived(fd), socket.watched.messages());
    }
    for (const socket of toEnd(this.#sockets.values(), this.#limits)) {
      this.#cutSocket(socket, "a message without end");
    }
  }

  #fdOf(socket: Socket): number | undefined {
    if (socket.fd !== undefined && this.#libc!.peerOf(socket.fd) === socket.watched.peer) return socket.fd;
    socket.fd = undefined; // the next scan finds it
    return undefined;
  }

  #cutSocket(socket: Socket, why: string): void {
    if (this.#sockets.get(socket.watched.peer) !== socket) return;
    if (this.#fdOf(socket) === undefined) this.#scan(performance.now());
    const fd = this.#fdOf(socket);
    if (fd === undefined) return;
    socket.fd = undefined;
    socket.tally = new Tally(); // it has no fault any more: its end is on the way
    this.#cut(fd, why);
  }

  #cut(fd: number, why: string): void {
    this.#libc!.cut(fd);
    this.#cuts++;
    this.#told.set(why, (this.#told.get(why) ?? 0) + 1);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#libc?.close();
  }
}
