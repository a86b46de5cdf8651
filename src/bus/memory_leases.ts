/** Presence leases of one process. Nodes of a test share one table; a node in production is alone with its own. */
import type { UserId } from "../protocol/ids.ts";
import {
  type LeaseState,
  type PresenceLeases,
  type Shift,
  together,
  type UserShift,
} from "./presence_leases.ts";

/** What each node says of each user. */
export class LeaseTable {
  readonly said = new Map<UserId, Map<PresenceLeases, LeaseState>>();
  /** Those that live, and who hears there of a dead one's users. */
  readonly nodes = new Map<PresenceLeases, (shifts: UserShift[]) => void>();
}

export class MemoryLeases implements PresenceLeases {
  readonly #table: LeaseTable;

  constructor(table: LeaseTable = new LeaseTable()) {
    this.#table = table;
    table.nodes.set(this, () => {});
  }

  set(userId: UserId, state: LeaseState | undefined): Promise<Shift> {
    const said = this.#table.said.get(userId) ?? new Map<PresenceLeases, LeaseState>();
    const before = together(said.values());
    if (state === undefined) said.delete(this);
    else said.set(this, state);
    if (said.size === 0) this.#table.said.delete(userId);
    else this.#table.said.set(userId, said);
    return Promise.resolve({ before, after: together(said.values()) });
  }

  statesOf(userIds: readonly UserId[]): Promise<Map<UserId, LeaseState>> {
    const found = new Map<UserId, LeaseState>();
    for (const userId of userIds) {
      const state = together(this.#table.said.get(userId)?.values() ?? []);
      if (state !== undefined) found.set(userId, state);
    }
    return Promise.resolve(found);
  }

  count(): Promise<number> {
    let count = 0;
    for (const said of this.#table.said.values()) if (together(said.values()) !== "invisible") count++;
    return Promise.resolve(count);
  }

  onReaped(listener: (shifts: UserShift[]) => void): void {
    this.#table.nodes.set(this, listener);
  }

  /** What this node said ends with it, and one that lives on tells of it. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#table.nodes.delete(this);
    const shifts: UserShift[] = [];
    for (const [userId, said] of [...this.#table.said]) {
      const before = together(said.values());
      if (!said.delete(this)) continue;
      const after = together(said.values());
      if (after !== before) shifts.push({ userId, before, after });
      if (said.size === 0) this.#table.said.delete(userId);
    }
    const [survivor] = this.#table.nodes.values();
    if (shifts.length > 0) survivor?.(shifts);
    return Promise.resolve();
  }
}
