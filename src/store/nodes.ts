/** Nodes: who is alive, by heartbeats. Times are the database's. */
import type { NodeId } from "../protocol/ids.ts";
import type { Database } from "./database.ts";

export interface NodeRow {
  id: NodeId;
  region: string;
  bus: string;
  /** What tells the machine from others; empty if nothing does. */
  machine: string;
}

/** This node lives; answers the others that do. A node of the same machine is what this one was before. */
export async function beat(db: Database, node: NodeRow, aliveMs: number): Promise<NodeRow[]> {
  return await db.read<NodeRow>((sql) =>
    sql`with own as (
        insert into nodes (id, region, bus, machine) values (${node.id}, ${node.region}, ${node.bus}, ${node.machine})
        on conflict (id) do update set heartbeat_at = now()
      ), gone as (
        delete from nodes where heartbeat_at < now() - interval '1 hour'
          or (machine = ${node.machine} and machine <> '' and id <> ${node.id})
      )
      select id, region, bus, machine from nodes
      where id <> ${node.id} and (machine <> ${node.machine} or machine = '')
        and heartbeat_at > now() - ${aliveMs} * interval '1 millisecond'`
  );
}

export async function leave(db: Database, id: NodeId): Promise<void> {
  await db.read((sql) => sql`delete from nodes where id = ${id}`);
}
