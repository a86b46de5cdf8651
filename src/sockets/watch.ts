/** What the warden and a socket know of each other. */

export interface Watched {
  readonly peer: string;
  /** Complete messages so far. */
  messages: () => number;
  /** Their bytes, or a little less. */
  messageBytes: () => number;
}

/** Nothing here throws. */
export interface Watch {
  /** Bytes past the runtime, when it has nothing on the way itself. False if they could not be sent. */
  say(bytes: Uint8Array<ArrayBuffer>): boolean;
  /** It was cut because of a message without end. */
  wasEndless(): boolean;
  /** We have closed it: it has 2 s to be gone. */
  closing(): void;
  /** It has ended. */
  end(): void;
}
