/** A client's way to the server, whatever the door: it comes back by itself, and says when. */

// deno-lint-ignore no-explicit-any -- what the server says; the checker judges it
export type Json = any;

/** The link ended before the answer came. */
export class LinkLost extends Error {}

export interface LinkInit {
  token: string;
  /** Where the server is; the first one is home. */
  urls: readonly string[];
  random: () => number;
  /**
   * Greeted; called for each life of the link. `recovered`: the server hears the same rooms for it as before, and will
   * tell by itself what was missed.
   */
  onOpen: (recovered: boolean) => void;
  onPush: (event: string, data: Json) => void;
}

export interface Link extends AsyncDisposable {
  start(): void;
  readonly isOpen: boolean;
  /** Rejects with Refused, or LinkLost when nobody will answer any more. */
  call(event: string, data: unknown): Promise<Json>;
  /** How its lives ended; 0 if it gave up waiting, and why. */
  readonly closes: readonly { code: number; why: string }[];
  /** How often it was told beforehand. */
  readonly drainings: number;
  /** How often it was open. */
  readonly lives: number;
  /** Lives that began with `recovered`. */
  readonly recoveries: number;
  /** Waits for ever: a client that has stopped to read does not notice that nothing comes. */
  isPatient: boolean;
}

export type OpenLink = (init: LinkInit) => Link;
