/** For where nothing may throw, because the runtime is the caller and the process would end. */
import { describeFault, type Log } from "../log.ts";

/** Runs it; a fault is logged, and if that fails too it is lost. False if there was one. */
export function guard(log: Log, event: string, action: () => void): boolean {
  try {
    action();
    return true;
  } catch (fault) {
    logFault(log, event, fault);
    return false;
  }
}

export function logFault(log: Log, event: string, fault: unknown, record: object = {}): void {
  try {
    log.error(event, { ...record, ...describeFault(fault) });
  } catch {
    // not even that
  }
}
