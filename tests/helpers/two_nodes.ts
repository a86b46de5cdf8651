/**
 * Two nodes on one database, with a bus that loses what it is told to and leases that both share; each with its doors, so
 * that all that comes is held against the contract.
 */
import { MemoryTopics } from "../../src/bus/memory_bus.ts";
import { LeaseTable, MemoryLeases } from "../../src/bus/memory_leases.ts";
import { createTestDatabase, type TestDatabase } from "./databases.ts";
import { type DoorClient, type Ear, startDoors, type TestDoors } from "./doors.ts";
import { type BusFaults, FaultyBus } from "./faulty_bus.ts";

interface TestNode {
  doors: TestDoors;
  bus: FaultyBus;
  leases: MemoryLeases;
}

export class TwoNodes implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly #nodes: TestNode[];

  private constructor(database: TestDatabase, nodes: TestNode[]) {
    this.database = database;
    this.#nodes = nodes;
  }

  static async start(env: Record<string, string> = {}): Promise<TwoNodes> {
    const database = await createTestDatabase();
    const [topics, table] = [new MemoryTopics(), new LeaseTable()];
    const nodes: TestNode[] = [];
    for (const seed of [1, 2]) {
      const [bus, leases] = [new FaultyBus(topics, seed), new MemoryLeases(table)];
      nodes.push({ doors: await startDoors({ database, bus, leases, env }), bus, leases });
    }
    return new TwoNodes(database, nodes);
  }

  /** Any two numbers of the same parity name the same node. */
  doors(n: number): TestDoors {
    return this.#at(n).doors;
  }

  ear(n: number, user: string): Promise<Ear> {
    return this.#at(n).doors.socket.ear(user);
  }

  rest(n: number, user: string): Promise<DoorClient> {
    return this.#at(n).doors.rest.as(user);
  }

  /** What the node hears of the other. Undefined heals. */
  setFaults(n: number, faults: BusFaults | undefined): void {
    this.#at(n).bus.faults = faults;
  }

  /** The node goes; what it said of its users is reaped by the other. */
  async end(n: number): Promise<void> {
    const [node] = this.#nodes.splice(n % this.#nodes.length, 1);
    await node?.doors[Symbol.asyncDispose]();
    await node?.bus[Symbol.asyncDispose]();
    await node?.leases[Symbol.asyncDispose]();
  }

  #at(n: number): TestNode {
    const node = this.#nodes[n % this.#nodes.length];
    if (node === undefined) throw new Error("No node is left");
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#nodes.length > 0) await this.end(0);
    await this.database[Symbol.asyncDispose]();
  }
}

export const LOSES_ALL: BusFaults = { drop: 1, double: 0, late: 0, lateMs: 0 };
