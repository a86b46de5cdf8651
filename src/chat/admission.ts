/**
 * Admission: how many sockets a user, an address and the whole node may hold, those that have not signed in apart.
 * Checked before an upgrade, since a socket that is there already costs memory.
 */
import { ChatError } from "../protocol/errors.ts";
import type { UserId } from "../protocol/ids.ts";
import { Misconduct } from "./misconduct.ts";

export interface AdmissionOptions {
  maxPerUser: number;
  maxPerAddress: number;
  /** Of the node, and a tenth of it of one address. */
  maxUnauthenticated: number;
  maxInAll: number;
}

/** A place among the node's sockets; give it back by `end`. */
export interface Ticket {
  /** The socket has signed in. Throws `rate_limited` if the user has too many, or has done too much harm. */
  signIn(userId: UserId): void;
  /** Its end. `blame`: it was cut for what no client does by mistake again and again. */
  end(blame?: boolean): void;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #users = new Counter<UserId>();
  readonly #addresses = new Counter<string>();
  readonly #anonymous = new Counter<string>();
  readonly #badUsers = new Misconduct<UserId>();
  readonly #badAddresses = new Misconduct<string>();
  #inAll = 0;
  #anonymousInAll = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Throws `busy` or `rate_limited`. `address`: see addressKey. */
  admit(address: string, userId: UserId | undefined): Ticket {
    const { maxInAll, maxPerAddress, maxUnauthenticated } = this.#options;
    if (this.#inAll >= maxInAll) throw new ChatError("busy", "This node has all the sockets it can hold");
    if (this.#addresses.of(address) >= maxPerAddress) throw tooMany("this address", maxPerAddress);
    if (userId === undefined) {
      requireGood(this.#badAddresses.waitMs(address));
      if (this.#anonymousInAll >= maxUnauthenticated) {
        throw new ChatError("busy", "Too many sockets have not signed in yet");
      }
      const share = Math.max(1, Math.ceil(maxUnauthenticated / 10));
      if (this.#anonymous.of(address) >= share) throw tooMany("this address without a token", share);
    } else {
      this.#requirePlace(userId);
    }
    this.#inAll++;
    this.#addresses.add(address, 1);
    const leaveAnonymous = userId === undefined ? this.#enterAnonymous(address) : () => {};
    let held = userId;
    if (held !== undefined) this.#users.add(held, 1);
    let ended = false;
    return {
      signIn: (user) => {
        if (ended || held !== undefined) return;
        this.#requirePlace(user);
        leaveAnonymous();
        held = user;
        this.#users.add(user, 1);
      },
      end: (blame = false) => {
        if (ended) return;
        ended = true;
        if (blame && held === undefined) this.#badAddresses.blame(address);
        else if (blame && held !== undefined) this.#badUsers.blame(held);
        this.#inAll--;
        this.#addresses.add(address, -1);
        if (held === undefined) leaveAnonymous();
        else this.#users.add(held, -1);
      },
    };
  }

  #requirePlace(userId: UserId): void {
    requireGood(this.#badUsers.waitMs(userId));
    if (this.#users.of(userId) >= this.#options.maxPerUser) {
      throw tooMany("this user", this.#options.maxPerUser);
    }
  }

  #enterAnonymous(address: string): () => void {
    this.#anonymousInAll++;
    this.#anonymous.add(address, 1);
    return () => {
      this.#anonymousInAll--;
      this.#anonymous.add(address, -1);
    };
  }
}

function requireGood(waitMs: number): void {
  if (waitMs === 0) return;
  throw new ChatError("rate_limited", "Sockets were cut for what they sent, again and again", {
    retryAfterMs: waitMs,
  });
}

const tooMany = (whose: string, limit: number): ChatError =>
  new ChatError("rate_limited", `Too many sockets of ${whose}: at most ${limit}`, { limit });

class Counter<K> {
  readonly #counts = new Map<K, number>();

  of(key: K): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: K, by: 1 | -1): void {
    const count = this.of(key) + by;
    if (count <= 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}
