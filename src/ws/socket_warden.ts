/**
 * The socket warden: ends what the runtime cannot. Deno reads a message without limit, never gives up a peer that
 * does not finish its request, and waits half a minute for one that does not answer a close. The warden looks at the
 * kernel's own counters and shuts such sockets down:
 *  - peers that have sent no complete request within 5 s of their coming;
 *  - sockets still there 2 s after we closed them;
 *  - while memory stands above its bound, sockets that have received more than twice the largest message since
 *    their last complete one.
 * A socket is found again by its peer before every act, because descriptors are used again.
 */
import type { Log } from "../log.ts";
import { type Libc, openLibc } from "./libc.ts";

const LOOK_MS = 1_000;
const ALERT_LOOK_MS = 20;
const REQUEST_WITHIN_MS = 5_000;
const CLOSE_WITHIN_MS = 2_000;
const RSS_MARGIN_BYTES = 400 * 1024 * 1024;
/** Descriptors are small numbers: the scan ends after this many free ones in a row. */
const FREE_IN_A_ROW = 4_096;

/** One upgraded socket under watch. */
export interface Watched {
  readonly peer: string;
  /** Complete messages so far. */
  messages: () => number;
}

interface Record {
  watched: Watched;
  fd: number | undefined;
  messages: number;
  /** The kernel's count when the last complete message was noticed. */
  baseline: number;
}

export interface WardenOptions {
  /** The port that peers come to, once there is one. */
  port: () => number;
  maxFrameBytes: number;
  log: Log;
  rssBytes?: () => number;
}

export class SocketWarden implements Disposable {
  readonly #options: WardenOptions;
  readonly #libc: Libc | undefined;
  readonly #baseRss: number;
  readonly #sockets = new Map<string, Record>();
  /** Peers that have sent a complete request; while they are connected. */
  readonly #known = new Set<string>();
  readonly #firstSeen = new Map<string, number>();
  readonly #closing = new Set<ReturnType<typeof setTimeout>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastLook = 0;
  #cuts = 0;

  constructor(options: WardenOptions) {
    this.#options = options;
    this.#libc = openLibc();
    this.#baseRss = this.#rss();
    if (this.#libc === undefined) {
      options.log.warn("warden.off", {
        text: "No FFI to libc here: floods and half-open sockets are not cut. Put a proxy in front",
      });
    } else {
      this.#schedule();
    }
  }

  get isOn(): boolean {
    return this.#libc !== undefined;
  }

  get cuts(): number {
    return this.#cuts;
  }

  /** A complete request came from there. */
  greeted(peer: string): void {
    if (this.#libc !== undefined) this.#known.add(peer);
  }

  watch(watched: Watched): void {
    this.#sockets.set(watched.peer, { watched, fd: undefined, messages: 0, baseline: 0 });
  }

  /** The socket has ended. */
  forget(peer: string): void {
    this.#sockets.delete(peer);
  }

  /** We have closed it: it has 2 s to be gone. */
  closing(peer: string): void {
    if (this.#libc === undefined) return;
    const timer = setTimeout(() => {
      this.#closing.delete(timer);
      if (this.#sockets.has(peer)) this.#cut(peer, "not closed in time");
    }, CLOSE_WITHIN_MS);
    this.#closing.add(timer);
  }

  #rss(): number {
    return this.#options.rssBytes?.() ?? Deno.memoryUsage().rss;
  }

  #schedule(): void {
    const alert = this.#rss() > this.#baseRss + RSS_MARGIN_BYTES;
    if (alert || performance.now() - this.#lastLook >= LOOK_MS) this.#look(alert);
    this.#timer = setTimeout(() => this.#schedule(), ALERT_LOOK_MS);
  }

  #look(alert: boolean): void {
    const now = performance.now();
    if (now - this.#lastLook >= LOOK_MS) {
      this.#lastLook = now;
      this.#scan(now);
    } else if (alert && [...this.#sockets.values()].some((record) => record.fd === undefined)) {
      this.#scan(now);
    }
    const limit = 2 * this.#options.maxFrameBytes;
    for (const [peer, record] of this.#sockets) {
      const fd = this.#find(peer, record);
      if (fd === undefined) continue;
      const received = this.#libc!.bytesReceived(fd);
      const messages = record.watched.messages();
      if (messages !== record.messages) {
        record.messages = messages;
        record.baseline = received;
      } else if (alert && received - record.baseline > limit) {
        this.#cut(peer, "a message without end");
      }
    }
  }

  /** All peers of our port: where they are, and who has not asked for anything. */
  #scan(now: number): void {
    const present = new Set<string>();
    const port = this.#options.port();
    for (let fd = 0, free = 0; free < FREE_IN_A_ROW; fd++) {
      const peer = this.#libc!.peerOf(fd);
      free = peer === undefined ? free + 1 : 0;
      if (peer === undefined || this.#libc!.localPortOf(fd) !== port) continue;
      present.add(peer);
      const record = this.#sockets.get(peer);
      if (record !== undefined) record.fd = fd;
      if (this.#known.has(peer)) continue;
      const since = this.#firstSeen.get(peer);
      if (since === undefined) this.#firstSeen.set(peer, now);
      else if (now - since >= REQUEST_WITHIN_MS) {
        this.#libc!.cut(fd);
        this.#cuts++;
        this.#options.log.debug("warden.cut", { why: "no request in time" });
      }
    }
    for (const peer of this.#known) if (!present.has(peer)) this.#known.delete(peer);
    for (const peer of this.#firstSeen.keys()) {
      if (!present.has(peer) || this.#known.has(peer)) this.#firstSeen.delete(peer);
    }
  }

  #find(peer: string, record: Record): number | undefined {
    if (record.fd !== undefined && this.#libc!.peerOf(record.fd) === peer) return record.fd;
    record.fd = undefined; // the next scan finds it
    return undefined;
  }

  #cut(peer: string, why: string): void {
    const record = this.#sockets.get(peer);
    if (record === undefined) return;
    if (this.#find(peer, record) === undefined) this.#scan(performance.now());
    const fd = this.#find(peer, record);
    if (fd === undefined) return;
    this.#libc!.cut(fd);
    this.#cuts++;
    this.#options.log.info("warden.cut", { why });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const timer of this.#closing) clearTimeout(timer);
    this.#libc?.close();
  }
}
