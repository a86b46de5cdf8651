/**
 * Presence leases: what nodes say of the users whose devices they hold, each for as long as the node lives. A port: one
 * process keeps it in memory (memory_leases.ts).
 */
import type { UserId } from "../protocol/ids.ts";

export type LeaseState = "online" | "away" | "busy" | "invisible";

/** What all nodes together said of a user, before and after one of them spoke. Undefined: nothing. */
export interface Shift {
  before: LeaseState | undefined;
  after: LeaseState | undefined;
}

export interface UserShift extends Shift {
  userId: UserId;
}

export interface PresenceLeases extends AsyncDisposable {
  /** What this node says of a user from now on; undefined: it holds none of their devices. In the order of the calls. */
  set(userId: UserId, state: LeaseState | undefined): Promise<Shift>;
  /** Users of whom no node says anything are left out. */
  statesOf(userIds: readonly UserId[]): Promise<Map<UserId, LeaseState>>;
  /** Users of whom some node says something else than invisible. */
  count(): Promise<number>;
  /** Hears of users of whom something else is said since a node is known to be dead. On one living node each. */
  onReaped(listener: (shifts: UserShift[]) => void): void;
}

/** What a user chose is the same on every node, but may be on its way: the more private one wins; activity anywhere counts. */
export function together(states: Iterable<LeaseState>): LeaseState | undefined {
  const said = new Set(states);
  for (const state of ["invisible", "busy", "online", "away"] as const) if (said.has(state)) return state;
  return undefined;
}
