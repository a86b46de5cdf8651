/**
 * The one table of errors: what a client may be told, the HTTP status of each
 * and whether the same request can succeed later (`retryable`).
 * Doors map with it and hold no switch of their own; the SDK reads the same file.
 */

export const errorCodes = {
  invalid_request: { status: 400, retryable: false, text: "The request is not valid" },
  unauthenticated: { status: 401, retryable: false, text: "A valid token is needed" },
  token_expired: { status: 401, retryable: false, text: "The token has expired" },
  forbidden: { status: 403, retryable: false, text: "You may not do this" },
  banned: { status: 403, retryable: false, text: "You are banned from this room" },
  muted: { status: 403, retryable: false, text: "You are muted in this room" },
  blocked: { status: 403, retryable: false, text: "Direct messages between you and this user are stopped" },
  origin_not_allowed: { status: 403, retryable: false, text: "This origin is not allowed" },
  not_found: { status: 404, retryable: false, text: "Not found" },
  unknown_command: { status: 404, retryable: false, text: "There is no such command" },
  method_not_allowed: { status: 405, retryable: false, text: "This method is not allowed here" },
  timed_out: { status: 408, retryable: true, text: "The request did not come in time" },
  conflict: { status: 409, retryable: false, text: "The request conflicts with the present state" },
  room_full: { status: 409, retryable: false, text: "The room has no place left" },
  last_owner: { status: 409, retryable: false, text: "The last owner must hand the room over first" },
  too_large: { status: 413, retryable: false, text: "The request is too large" },
  unsupported_media_type: { status: 415, retryable: false, text: "This content type is not understood" },
  range_not_satisfiable: { status: 416, retryable: false, text: "The file has no such range" },
  upgrade_required: { status: 426, retryable: false, text: "This address speaks WebSocket only" },
  rate_limited: { status: 429, retryable: true, text: "Too many requests" },
  quota_exceeded: { status: 429, retryable: true, text: "You have uploaded as much as you may in a day" },
  busy: { status: 503, retryable: true, text: "The server is busy" },
  unavailable: { status: 503, retryable: true, text: "The server cannot do this now" },
  storage_full: { status: 507, retryable: true, text: "There is no room for files now" },
  internal: { status: 500, retryable: true, text: "Something went wrong on our side" },
} as const satisfies Record<string, { status: number; retryable: boolean; text: string }>;

export type ErrorCode = keyof typeof errorCodes;

/** What rides along: the field at fault, what was expected, when to retry. Never a secret, never SQL. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** The error object of every door: REST puts it in `{error}`, a socket in an ack or an `error` event. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  details?: ErrorDetails;
  requestId?: string;
}

/** Thrown for whatever a client can cause. Anything else that is thrown is a fault of ours, told as `internal`. */
export class ChatError extends Error {
  override readonly name = "ChatError";
  constructor(
    readonly code: ErrorCode,
    message?: string,
    readonly details?: ErrorDetails,
    options?: ErrorOptions,
  ) {
    super(message ?? errorCodes[code].text, options);
  }

  toBody(requestId?: string): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      retryable: errorCodes[this.code].retryable,
      ...(this.details === undefined ? {} : { details: this.details }),
      ...(requestId === undefined ? {} : { requestId }),
    };
  }

  #retryAfterS(): number {
    const ms = this.details?.["retryAfterMs"];
    return typeof ms === "number" ? Math.max(1, Math.ceil(ms / 1000)) : 1;
  }

  /** As REST answers it, and the upgrade of a socket that is refused. */
  toResponse(requestId: string): Response {
    const { status, retryable } = errorCodes[this.code];
    return Response.json({ error: this.toBody(requestId) }, {
      status,
      headers: {
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-request-id": requestId,
        ...(retryable && status !== 500 ? { "retry-after": String(this.#retryAfterS()) } : {}),
        ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
        ...(status === 405 ? { "allow": String(this.details?.["allow"] ?? "") } : {}),
      },
    });
  }
}

/** A field that is not as expected; `field` is a dotted path into the input. */
export function invalidField(field: string, expected: string): ChatError {
  return new ChatError("invalid_request", `${field}: ${expected}`, { field, expected });
}

/** True for a name that stands in the table; a database function answers with such names. */
export function isErrorCode(name: string): name is ErrorCode {
  return Object.hasOwn(errorCodes, name);
}
