/**
 * The tarpit: who is refused a socket for what he did, or for his token, hears of it late while very many are. A client
 * that comes again as soon as it is refused then comes seldom; told at once, two hundred of them take half a core.
 */
import { Allowance } from "../chat/rates.ts";
import { ChatError, type ErrorCode } from "../protocol/errors.ts";
import type { Log } from "../log.ts";
import { logFault } from "./guard.ts";

/** What passes, like a node that is busy, is told at once: the client should go elsewhere. */
const HELD: ReadonlySet<ErrorCode> = new Set(["rate_limited", "unauthenticated", "token_expired"]);
/** Of the whole node, told at once: what honest mistakes come to. */
const PROMPT = { perSecond: 10, burst: 50 };
const HOLD_MS = 3_000;
/** More do not wait: each holds a connection. */
const WAITING_MAX = 2_000;

/** Waits until it may be told. For doors, which must answer whatever fails. */
export async function held(tarpit: Tarpit, fault: unknown, log: Log): Promise<void> {
  try {
    await tarpit.hold(fault);
  } catch (own) {
    logFault(log, "tarpit.fault", own);
  }
}

export class Tarpit implements Disposable {
  readonly #hasRoom: () => boolean;
  readonly #prompt = new Allowance(PROMPT);
  readonly #waiting = new Map<() => void, ReturnType<typeof setTimeout>>();
  #isOpen = true;

  /** `hasRoom`: there are descriptors enough for those who wait. */
  constructor(hasRoom: () => boolean = () => true) {
    this.#hasRoom = hasRoom;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Settles when this may be told. */
  async hold(fault: unknown): Promise<void> {
    if (!(fault instanceof ChatError) || !HELD.has(fault.code)) return;
    if (!this.#isOpen || this.#prompt.take() === 0) return;
    if (this.#waiting.size >= WAITING_MAX || !this.#hasRoom()) return;
    await new Promise<void>((resolve) =>
      this.#waiting.set(resolve, setTimeout(() => this.#release(resolve), HOLD_MS * (0.5 + Math.random())))
    );
  }

  #release(resolve: () => void): void {
    clearTimeout(this.#waiting.get(resolve));
    this.#waiting.delete(resolve);
    resolve();
  }

  /** All are told now, and from now on: the node goes away. */
  drain(): void {
    this.#isOpen = false;
    for (const resolve of [...this.#waiting.keys()]) this.#release(resolve);
  }

  [Symbol.dispose](): void {
    this.drain();
  }
}
