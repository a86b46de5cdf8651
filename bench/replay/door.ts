/**
 * The door: all that a replay asks of a transport. A link is one connection of one user; what comes in unasked
 * goes to its ears in the order of arrival, and nothing comes in before `connect` was called with them.
 */

export interface Ears {
  push(event: string, data: Readonly<Record<string, unknown>>): void;
  /** The link has ended and was not asked to. */
  closed(reason: string): void;
}

export interface Link {
  /** Who the server says we are. */
  readonly userId: string;
  /** Writes at once, in the order of the calls; resolves with the ack's data, rejects with a Refusal. */
  call(event: string, data: unknown): Promise<unknown>;
  /** Resolves when the connection has ended. Calls without an answer reject. */
  close(): Promise<void>;
}

export interface Door {
  readonly name: string;
  connect(token: string, ears: Ears): Promise<Link>;
}
