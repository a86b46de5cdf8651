/** Preloaded into a node by process_faults_test.ts: at SIGUSR1, faults that no handler of the node's catches. */
Deno.addSignalListener("SIGUSR1", () => {
  setTimeout(() => {
    throw new Error("planted: thrown by a timer");
  });
  void Promise.reject(new Error("planted: a rejection"));
  void Promise.reject(undefined);
});
