/** Faults that nobody caught: logged, counted, and the process lives. Never relied on: every handler catches its own. */
import { describeFault, type Log } from "./log.ts";

/** From now on. Gives how many there have been. */
export function watchProcessFaults(log: Log): () => number {
  let count = 0;
  const told = (event: ErrorEvent | PromiseRejectionEvent): void => {
    event.preventDefault();
    count++;
    log.error("process.fault", describeFault("reason" in event ? event.reason : event.error));
  };
  globalThis.addEventListener("error", told);
  globalThis.addEventListener("unhandledrejection", told);
  return () => count;
}
