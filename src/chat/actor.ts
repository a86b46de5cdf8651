/** The actor: who asks right now. The first argument of every rule; made by auth.ts alone. */
import type { Connection } from "../delivery/connection.ts";
import type { UserId } from "../protocol/ids.ts";
import type { PlatformRole } from "../protocol/models.ts";

export interface Actor {
  readonly userId: UserId;
  readonly name: string;
  readonly avatarUrl: string | null;
  readonly role: PlatformRole;
  readonly courses: readonly string[];
  /** Outranks every role of a room, but has no way into direct rooms. */
  readonly isAdmin: boolean;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** A command on its way: who asks, over which connection (none on REST), and what is to happen after the answer. */
export interface Call {
  readonly actor: Actor;
  readonly connection: Connection | undefined;
  /** False on a socket when the client gave no id: it is answered by an event instead. */
  readonly acked: boolean;
  /** Runs in the turn in which the answer has been handed to the transport: live pushes follow it, never lead. */
  afterAnswer(action: () => void): void;
  /** Sockets only: goes on as the actor of a fresh token. */
  readonly renew: ((token: string) => Promise<Actor>) | undefined;
}
