import { MemoryBus, MemoryTopics } from "../../src/bus/memory_bus.ts";
import { LeaseTable, MemoryLeases } from "../../src/bus/memory_leases.ts";
import { busSuite } from "./bus_suite.ts";
import { leasesSuite } from "./leases_suite.ts";

Deno.test("memory bus and leases", async (t) => {
  await busSuite(t, {
    open: () => {
      const topics = new MemoryTopics();
      const parts = new AsyncDisposableStack();
      const [one, other] = [parts.use(new MemoryBus(topics)), parts.use(new MemoryBus(topics))];
      return Promise.resolve({ one, other, [Symbol.asyncDispose]: () => parts.disposeAsync() });
    },
  });
  await leasesSuite(t, {
    open: () => {
      const table = new LeaseTable();
      const parts = new AsyncDisposableStack();
      const nodes = [parts.use(new MemoryLeases(table)), parts.use(new MemoryLeases(table))] as const;
      return Promise.resolve({ nodes, [Symbol.asyncDispose]: () => parts.disposeAsync() });
    },
  });
});
