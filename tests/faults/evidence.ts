/** What the judge is shown: the clients' logs, Postgres as it is, and the nodes as they answer. */
import postgres from "postgres";
import type { Evidence, NodeEvidence, StoredMessage } from "./checker.ts";
import type { NodeSlot } from "./node_slot.ts";
import type { Sent } from "./publisher.ts";
import { expectOk, OWNER } from "./population.ts";
import type { World } from "./world.ts";

export async function gather(world: World, healedAt: number): Promise<Evidence> {
  // as it is now: what is acknowledged while Postgres is read is not in what was read
  const sent = world.publishers.flatMap((publisher) => publisher.sent.map((message) => ({ ...message })));
  const { stored, stays } = await readTruth(world);
  return {
    ...{ sent, stored, stays },
    publisherFaults: world.publishers.flatMap(({ userId, faults }) =>
      faults.map((text) => `${userId}: ${text}`)
    ),
    receivers: world.receivers.map(({ userId, logs, strangeRooms }) => ({
      ...{ userId, strangeRooms },
      logs: [...logs.values()],
    })),
    nodes: await Promise.all(
      world.nodes.filter(({ wasEnded }) => !wasEnded).map((node) => ask(world, node)),
    ),
    healMs: healMs(world, sent, healedAt),
    backlog: Math.max(...world.publishers.map((publisher) => waitingAt(publisher.sent, healedAt))),
  };
}

async function readTruth(world: World): Promise<Pick<Evidence, "stored" | "stays">> {
  const types = { bigint: { to: 20, from: [20], parse: Number, serialize: String } };
  const sql = postgres(world.databaseUrl, { max: 1, types, fetch_types: false, onnotice: () => {} });
  try {
    const stored = await sql<StoredMessage[]>`
      select id, room_id as "roomId", seq, client_message_id as "clientMessageId", content from messages`;
    const stays = await sql<{ roomId: string; userId: string; left: number | null }[]>`
      select room_id as "roomId", user_id as "userId", left_seq as left from memberships
      where user_id <> ${OWNER}`;
    return { stored, stays: stays.map(({ left, ...stay }) => ({ ...stay, leftSeq: left ?? undefined })) };
  } finally {
    await sql.end({ timeout: 2 });
  }
}

async function ask(world: World, node: NodeSlot): Promise<NodeEvidence> {
  const isAlive = await node.isAlive();
  const histories = new Map<string, string[]>();
  if (isAlive) {
    for (const roomId of world.rooms) histories.set(roomId, await history(world, node.index, roomId));
  }
  const { growthMiB, faults } = node;
  return { name: `node ${node.index}`, isAlive, growthMiB, faults, histories };
}

async function history(world: World, node: number, roomId: string): Promise<string[]> {
  const ids: string[] = [];
  for (let before = "";;) {
    const page = await expectOk(() => world.owner(node).get(`/rooms/${roomId}/messages?limit=100${before}`));
    ids.unshift(...page.messages.map(({ id }: { id: string }) => id));
    if (!page.hasMoreBefore) return ids;
    before = `&before=${page.messages[0].seq}`;
  }
}

const waitingAt = (sent: readonly Sent[], moment: number): number =>
  sent.filter(({ at, ack }) => at < moment && (ack === undefined || ack.at > moment)).length;

/** Until the last of what was sent before the end of the fault was with its last receiver. */
function healMs(world: World, sent: readonly Sent[], healedAt: number): number {
  const ids = new Set(sent.flatMap(({ at, ack }) => at < healedAt && ack !== undefined ? [ack.id] : []));
  let latest = healedAt;
  for (const receiver of world.receivers) {
    for (const { shown } of receiver.logs.values()) {
      for (const { id, at } of shown) if (at > latest && ids.has(id)) latest = at;
    }
  }
  return latest - healedAt;
}

/** Of every delivery: from the first try to send it until it was shown. */
export function latencies(world: World): number[] {
  const sentAt = new Map<string, number>();
  for (const { sent } of world.publishers) {
    for (const { ack, at } of sent) if (ack !== undefined) sentAt.set(ack.id, at);
  }
  return world.receivers.flatMap(({ logs }) =>
    [...logs.values()].flatMap(({ shown }) => shown.map(({ id, at }) => at - (sentAt.get(id) ?? at)))
  ).sort((a, b) => a - b);
}
