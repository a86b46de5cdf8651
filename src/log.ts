/**
 * The log: one JSON object a line on stdout, fixed event names, ids in the record, never a message's
 * content, a token or a URL with a query. Writing never throws and never waits.
 */

const LEVELS = { debug: 0, info: 1, warn: 2, error: 3 } as const;
export type LogLevel = keyof typeof LEVELS;
export type LogRecord = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, record?: LogRecord): void;
  info(event: string, record?: LogRecord): void;
  warn(event: string, record?: LogRecord): void;
  error(event: string, record?: LogRecord): void;
}

export function createLog(level: LogLevel, write: (line: string) => void = writeLine): Log {
  const at = (own: LogLevel) => (event: string, record: LogRecord = {}): void => {
    if (LEVELS[own] < LEVELS[level]) return;
    write(JSON.stringify({ at: new Date().toISOString(), level: own, event, ...record }));
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** What a fault may tell the log: its kind, text and stack, and Postgres' SQLSTATE. */
export function describeFault(fault: unknown): LogRecord {
  if (!(fault instanceof Error)) return { fault: String(fault) };
  const code = "code" in fault && typeof fault.code === "string" ? { sqlstate: fault.code } : {};
  return {
    fault: fault.name,
    text: fault.message,
    ...code,
    stack: fault.stack?.split("\n").slice(1, 8).map((l) => l.trim()),
  };
}

const encoder = new TextEncoder();

function writeLine(line: string): void {
  try {
    Deno.stdout.writeSync(encoder.encode(line + "\n"));
  } catch {
    // a closed stdout must not end the server
  }
}
