/** How a user is shown: from what all nodes say of their devices and what the user chose, to what each may see. */
import type { LeaseState } from "../bus/presence_leases.ts";
import type { CustomStatus, UserStatus } from "../protocol/models.ts";
import type { ChosenStatus, StatusRow } from "../store/presence.ts";

/** What a node says of a user whose devices it holds. */
export function stateOf(chosen: ChosenStatus, isActive: boolean): LeaseState {
  return chosen.choice === "online" && !isActive ? "away" : chosen.choice;
}

/** What nodes say may be older than what the user chose, by a moment or because the word of it was lost. */
export function stateNow(chosen: ChosenStatus, said: LeaseState | undefined): LeaseState | undefined {
  return said === undefined ? undefined : stateOf(chosen, said !== "away");
}

/** Invisible is offline, to others. */
export const isSeen = (state: LeaseState | undefined): boolean =>
  state !== undefined && state !== "invisible";

/** The line that stands now. */
export function lineOf({ text, emoji, until }: ChosenStatus): CustomStatus | null {
  if (text === null || (until !== null && Date.parse(until) <= Date.now())) return null;
  return { text, emoji, expiresAt: until };
}

type Known = Pick<StatusRow, "userId" | "user" | "chosen" | "lastSeenAt">;

/** As others see the user. Of one who is not seen nothing tells whether they are there. */
export function shownToOthers(known: Known, state: LeaseState | undefined): UserStatus {
  const { userId, user, chosen, lastSeenAt } = known;
  if (state === undefined || state === "invisible") {
    return { userId, user, status: "offline", isOnline: false, lastSeenAt, customStatus: null };
  }
  return { userId, user, status: state, isOnline: true, lastSeenAt: null, customStatus: lineOf(chosen) };
}

/** As somebody sees a user who has blocked them. */
export function hidden({ userId, user }: Known): UserStatus {
  return { userId, user, status: "offline", isOnline: false, lastSeenAt: null, customStatus: null };
}

/** As the user sees themselves. */
export function shownToSelf(known: Known, state: LeaseState | undefined): UserStatus {
  const { userId, user, chosen, lastSeenAt } = known;
  return {
    userId,
    user,
    status: state ?? "offline",
    isOnline: isSeen(state),
    lastSeenAt: state === undefined ? lastSeenAt : null,
    customStatus: lineOf(chosen),
  };
}
