/**
 * The socket warden: ends what the runtime cannot. Deno reads a message without limit, never gives up a peer that
 * does not finish its request, waits half a minute for one that does not answer a close, and stops listening for good
 * once it has no descriptor left. The warden looks at the kernel's own counters, gives each socket a narrow inlet, and
 * resets:
 *  - peers that have sent no complete request within 5 to 7 s of their coming (spread.ts);
 *  - sockets still there 2 s after we closed them, or after the runtime says that they have ended: what it has not
 *    yet sent keeps the connection of a client that does not read;
 *  - sockets with more of an unfinished message than is right (unfinished.ts);
 *  - who sends on what was refused (refused_bodies.ts); of one address, who only stays when very many do (idle_peers.ts);
 *  - when descriptors run short, whoever is not a socket yet.
 * A socket is found again by its peer before every act, because descriptors are used again.
 */
import type { Log } from "../log.ts";
import { Crowding } from "./crowding.ts";
import { guard } from "./guard.ts";
import { IDLE_PEERS_MAX, tooManyIdle } from "./idle_peers.ts";
import { type Libc, openLibc } from "./libc.ts";
import { type Peer, Peers } from "./peers.ts";
import { RefusedBodies } from "./refused_bodies.ts";
import type { Watch, Watched } from "./watch.ts";
import { Tally, toEnd, type UnfinishedLimits, unfinishedLimits } from "./unfinished.ts";
import { Vigilance } from "./vigilance.ts";

const TICK_MS = 20;
/** All sockets are looked at in rounds (vigilance.ts), a piece at each tick; */
const PIECE_MS = 2;
/** and at once when so much more memory is taken; but that takes at most a fifth of the time. */
const RSS_STEP_BYTES = 32 * 1024 * 1024;
const PAUSE_FACTOR = 4;
const CLOSE_WITHIN_MS = 2_000;
const AGAIN_MS = 200;
const BUSY_TICK_MS = 4;
const DESCRIPTORS_FEW = 8_000;
/**
 * Of a peer's data the kernel takes about this ahead of us. The runtime reads all there is of a peer in its turn: with
 * 64 KiB, others wait twice as long beside twenty floods. Without a proxy near us it bounds how fast a client far away
 * can send (16 KiB for each time there and back).
 */
const AHEAD_BYTES = 16 * 1024;
/** The listener's descriptor is below this. */
const LISTENER_MAX = 512;

/** One upgraded socket to watch. */
interface Socket {
  readonly watched: Watched;
  tally: Tally;
  goneBy: number;
  hasEnded: boolean;
  wasEndless: boolean;
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
  readonly #vigilance = new Vigilance();
  readonly #libc: Libc | undefined;
  readonly #sockets = new Map<string, Socket>();
  /** In the order in which they were closed. */
  readonly #closing = new Set<Socket>();
  /** Undefined where it cannot work. */
  readonly #peers: Peers | undefined;
  readonly #refused: RefusedBodies | undefined;
  readonly #crowding: Crowding | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isNarrow = false;
  #tickDue = Infinity;
  #isInRound = false;
  #roundTook = 0;
  #pauseUntil = 0;
  #rssThen = 0;
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
    this.#peers = new Peers(this.#libc, options.port);
    this.#refused = new RefusedBodies(this.#libc, this.#peers);
    this.#crowding = new Crowding(this.#libc);
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

  /** Of the descriptors half are in use. */
  get isBusy(): boolean {
    return this.#crowding?.isBusy === true;
  }

  /** Descriptors run short: whoever comes now should go elsewhere. */
  get isCrowded(): boolean {
    return this.#crowding?.isCrowded === true;
  }

  get cuts(): number {
    return this.#cuts;
  }

  /** A complete request came from there. */
  greeted(peer: string): void {
    this.#peers?.asked(peer);
    this.#refused?.forget(peer);
    const socket = this.#sockets.get(peer);
    if (socket?.hasEnded === true) this.#forget(socket); // somebody else
  }

  refusedBodyOf(peer: string): void {
    this.#refused?.add(peer);
  }

  watch(watched: Watched): Watch {
    const socket: Socket = {
      watched,
      tally: new Tally(),
      goneBy: Infinity,
      hasEnded: false,
      wasEndless: false,
    };
    this.#sockets.set(watched.peer, socket);
    return {
      say: (bytes) => {
        const fd = this.#fdOf(socket);
        return fd !== undefined && this.#libc!.send(fd, bytes);
      },
      wasEndless: () => socket.wasEndless,
      closing: () => this.#expectEnd(socket),
      end: () => {
        socket.hasEnded = true;
        if (this.#peers === undefined) this.#forget(socket);
        else if (socket.goneBy === Infinity) this.#expectEnd(socket);
      },
    };
  }

  #expectEnd(socket: Socket): void {
    socket.goneBy = performance.now() + CLOSE_WITHIN_MS;
    this.#closing.add(socket);
  }

  #forget(socket: Socket): void {
    this.#closing.delete(socket);
    // unless another has come from there in the meantime
    const { peer } = socket.watched;
    if (this.#sockets.get(peer) === socket) this.#sockets.delete(peer);
  }

  #tick(): void {
    guard(this.#options.log, "warden.fault", () => {
      const now = performance.now();
      this.#vigilance.wasLate(now, now - this.#tickDue);
      if (!this.#isNarrow) this.#narrowInlet();
      this.#endClosed(now);
      this.#refused!.look(now, (fd) => this.#cut(fd, "sends what was refused"));
      this.#crowding!.look();
      this.#look(now);
      for (const [why, count] of this.#told) this.#options.log.info("warden.cut", { why, count });
      this.#told.clear();
    });
    const waitMs = this.isBusy ? BUSY_TICK_MS : TICK_MS;
    this.#tickDue = performance.now() + waitMs;
    this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  #narrowInlet(): void {
    const port = this.#options.port();
    for (let fd = 0; fd < LISTENER_MAX && !this.#isNarrow; fd++) {
      if (this.#libc!.localPortOf(fd) !== port || !this.#libc!.isListening(fd)) continue;
      this.#libc!.narrow(fd, AHEAD_BYTES);
      this.#isNarrow = true;
    }
  }

  #endClosed(now: number): void {
    for (const socket of this.#closing) {
      if (socket.goneBy > now) break;
      this.#closing.delete(socket);
      if (socket.hasEnded) {
        if (this.#peers!.fdOf(socket.watched.peer) !== undefined) {
          this.#cutSocket(socket, "not closed in time");
        }
        this.#forget(socket);
        continue;
      }
      if (this.#cutSocket(socket, "not closed in time")) continue;
      socket.goneBy = now + AGAIN_MS; // the next round finds it
      this.#closing.add(socket);
    }
  }

  #look(now: number): void {
    const visitor = (peer: Peer, fd: number): void => this.#visit(peer, fd, now);
    const rss = this.#options.rssBytes?.() ?? Deno.memoryUsage().rss;
    const isNews = now >= this.#pauseUntil && rss > this.#rssThen + RSS_STEP_BYTES;
    if (isNews || this.isCrowded) {
      this.#peers!.visitAll(visitor);
      this.#isInRound = false;
      this.#pause(now);
    } else {
      if (!this.#isInRound && !this.#vigilance.isDue(now)) return;
      this.#isInRound = !this.#peers!.visit(PIECE_MS, visitor);
    }
    this.#roundTook += performance.now() - now;
    if (this.#isInRound) return;
    this.#rssThen = rss;
    const ended = toEnd(this.#sockets.values(), this.#limits, this.#vigilance.isAttacked(now));
    for (const socket of ended) {
      socket.wasEndless = this.#cutSocket(socket, "a message without end") || socket.wasEndless;
    }
    if (ended.length > 0) this.#vigilance.wasAttacked(now);
    this.#vigilance.looked(performance.now(), this.#roundTook);
    this.#roundTook = 0;
    if (this.#peers!.count - this.#sockets.size > IDLE_PEERS_MAX) this.#cutIdle(now);
  }

  #cutIdle(now: number): void {
    const others = [...this.#peers!.all].filter(({ key }) => !this.#sockets.has(key));
    for (const { key } of tooManyIdle(others, now)) {
      const fd = this.#peers!.fdOf(key);
      if (fd !== undefined) this.#cut(fd, "idle, one of too many");
    }
  }

  /** After what has taken from `since` until now. */
  #pause(since: number): void {
    const now = performance.now();
    this.#pauseUntil = now + PAUSE_FACTOR * (now - since);
  }

  #visit(peer: Peer, fd: number, now: number): void {
    const socket = this.#sockets.get(peer.key);
    if (socket !== undefined) {
      const { messages, messageBytes } = socket.watched;
      socket.tally.look(now, this.#libc!.bytesReceived(fd), messages(), messageBytes());
    } else if (this.#crowding!.isTooLate(peer, now)) {
      this.#cut(fd, "no request in time");
    }
  }

  #cutSocket(socket: Socket, why: string): boolean {
    const fd = this.#fdOf(socket);
    if (fd === undefined) return false;
    socket.tally = new Tally(); // it has no fault any more: its end is on the way
    this.#cut(fd, why);
    return true;
  }

  #fdOf(socket: Socket): number | undefined {
    const { peer } = socket.watched;
    if (this.#peers === undefined || this.#sockets.get(peer) !== socket) return undefined;
    const known = this.#peers.fdOf(peer);
    const now = performance.now();
    if (known !== undefined || now < this.#pauseUntil) return known;
    this.#peers.visitAll(() => {}); // it came since the last round
    this.#pause(now);
    return this.#peers.fdOf(peer);
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
