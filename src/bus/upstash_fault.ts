/** What went wrong with Upstash, in words for the log: never the token, never a command with its content. */
export const TIMEOUT_MS = 4_000;

export function upstashFault(fault: unknown, token: string): Error {
  return new Error(textOf(fault).replaceAll(token, "***"));
}

function textOf(fault: unknown): string {
  if (!(fault instanceof Error)) return String(fault);
  if (fault.name === "TimeoutError") return `Upstash did not answer within ${TIMEOUT_MS} ms`;
  if (fault.name === "UpstashJSONParseError") return "Upstash answered with something else than JSON";
  return fault.message.replace(/, command was: .*$/s, "");
}
