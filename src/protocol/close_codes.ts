/**
 * Why the server closes a socket: the code on the wire, and whether the client
 * should come back by itself. The one table; the SDK reads the same file.
 */
export const closeCodes = {
  normal: { code: 1000, reconnect: false },
  too_large: { code: 1009, reconnect: true },
  restart: { code: 1012, reconnect: true },
  slow_consumer: { code: 4008, reconnect: true },
  too_much: { code: 4009, reconnect: true },
  token: { code: 4401, reconnect: false },
  revoked: { code: 4403, reconnect: false },
} as const satisfies Record<string, { code: number; reconnect: boolean }>;

export type CloseReason = keyof typeof closeCodes;
