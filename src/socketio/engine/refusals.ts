/** Why a request is refused: the reference server's own numbers and words, so that clients and their tools know them. */

const refusals = {
  unknown_transport: { code: 0, status: 400, message: "Transport unknown" },
  unknown_session: { code: 1, status: 400, message: "Session ID unknown" },
  bad_method: { code: 2, status: 400, message: "Bad handshake method" },
  bad_request: { code: 3, status: 400, message: "Bad request" },
  forbidden: { code: 4, status: 403, message: "Forbidden" },
  unsupported_version: { code: 5, status: 400, message: "Unsupported protocol version" },
} as const;

export class EngineRefusal extends Error {
  override readonly name = "EngineRefusal";

  constructor(readonly is: keyof typeof refusals, readonly hint?: string) {
    super(refusals[is].message);
  }

  toResponse(): Response {
    const { code, status, message } = refusals[this.is];
    const body = { code, message, ...(this.hint === undefined ? {} : { hint: this.hint }) };
    return Response.json(body, {
      status,
      headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" },
    });
  }
}
