/**
 * Who is in a world: rooms of one owner, publishers of one room each, receivers in all rooms but one. Rooms are private,
 * so that nobody is in one by asking for it.
 */
import { randomOf } from "../helpers/faulty_bus.ts";
import { type RestAnswer, RestClient } from "../helpers/rest_client.ts";
import { signToken } from "../helpers/test_app.ts";
import { ChatLink } from "./chat_link.ts";
import type { OpenLink } from "./link.ts";
import type { NodeSlot } from "./node_slot.ts";
import { Publisher } from "./publisher.ts";
import { Receiver } from "./receiver.ts";
import { until } from "./until.ts";

export const ROOMS = 4;
const PUBLISHERS_A_ROOM = 2;
const RECEIVERS = 12;
/** A receiver of the second node. */
export const LONELY = 4;
const TOKEN_SECONDS = 12 * 3_600; // a node's clock may be hours off
export const OWNER = "owner";

export interface PopulationOptions {
  seed: number;
  /** Messages of one publisher. */
  perSecond: number;
  /** A room more, of one publisher and two receivers: the lonely one and its neighbour. */
  busyRoom?: { perSecond: number; length: number };
  /** False: receivers that never ask for what they missed. */
  catchesUp: boolean;
  /** Where the lonely receiver finds its node; nobody else goes there. */
  lonelyUrl: string | undefined;
  /** In turn, each for as many clients as there are nodes, so that every node has clients of every kind; else native. */
  links?: readonly OpenLink[];
}

export interface Population {
  rooms: readonly string[];
  publishers: readonly Publisher[];
  receivers: readonly Receiver[];
  ownerToken: string;
}

export async function populate(nodes: readonly NodeSlot[], options: PopulationOptions): Promise<Population> {
  const { seed, perSecond, busyRoom, catchesUp, lonelyUrl } = options;
  const busy = busyRoom === undefined ? 0 : 1;
  const publisherIds = names("publisher", ROOMS * PUBLISHERS_A_ROOM + busy);
  const receiverIds = names("receiver", RECEIVERS);
  const tokens = new Map<string, string>();
  for (const id of [OWNER, ...publisherIds, ...receiverIds]) {
    tokens.set(id, await signToken(id, { expiresInSeconds: TOKEN_SECONDS }));
  }
  const tokenOf = (userId: string): string => tokens.get(userId) ?? "";
  const home = nodes[0]?.url ?? "";
  const comeBy = (userId: string) => expectOk(() => new RestClient(home, tokenOf(userId)).get("/rooms"));
  await Promise.all([...tokens.keys()].map(comeBy)); // users are known from then on
  const owner = new RestClient(home, tokenOf(OWNER));
  const rooms = await Promise.all(Array.from({ length: ROOMS + busy }, async (_, i) => {
    const { room } = await expectOk(() => owner.post("/rooms", { name: `Room ${i}`, type: "PRIVATE" }));
    return room.id as string;
  }));
  const roomOf = (publisher: number): string =>
    rooms[publisher === ROOMS * PUBLISHERS_A_ROOM ? ROOMS : publisher % ROOMS] ?? "";
  const roomsOf = (receiver: number): string[] =>
    rooms.filter((_, room) =>
      room === ROOMS ? receiver === LONELY || receiver === LONELY + 1 : room !== receiver % ROOMS
    );
  const join = (userId: string, roomId: string) =>
    expectOk(() => owner.post(`/rooms/${roomId}/members`, { userId }));
  await Promise.all([
    ...publisherIds.map((userId, i) => join(userId, roomOf(i))),
    ...receiverIds.flatMap((userId, i) => roomsOf(i).map((roomId) => join(userId, roomId))),
  ]);
  const urlsFrom = (i: number): string[] =>
    nodes.map((_, turn) => nodes[(i + turn) % nodes.length]?.clientUrl ?? "");
  const { links = [(init) => new ChatLink(init)] } = options;
  const linkOf = (i: number): OpenLink => links[Math.floor(i / nodes.length) % links.length]!;
  const publishers = publisherIds.map((userId, i) =>
    new Publisher({
      ...{ userId, perSecond, token: tokenOf(userId), urls: urlsFrom(i), roomId: roomOf(i) },
      ...(i === ROOMS * PUBLISHERS_A_ROOM ? busyRoom : {}),
      openLink: linkOf(i),
      random: randomOf(seed * 1_000 + i),
    })
  );
  const receivers = receiverIds.map((userId, i) =>
    new Receiver({
      ...{ userId, catchesUp, token: tokenOf(userId), rooms: roomsOf(i) },
      openLink: linkOf(i),
      urls: i === LONELY && lonelyUrl !== undefined ? [lonelyUrl] : urlsFrom(i),
      random: randomOf(seed * 1_000 + 100 + i),
      comesBackBy: i % 2 === 0 ? "join_room" : "sync",
    })
  );
  return { rooms, publishers, receivers, ownerToken: tokenOf(OWNER) };
}

/** Settles when all receivers hear their rooms. */
export async function begin({ publishers, receivers }: Population): Promise<void> {
  for (const { link } of [...publishers, ...receivers]) link.start();
  const areReady = () =>
    publishers.every(({ link }) => link.isOpen) && receivers.every(({ hearsAll }) => hearsAll);
  await until(areReady, 30_000, "all receivers hear their rooms");
}

const names = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${kind}-${i}`);

/** Tried until it works: setting up is not what is tested. */
export async function expectOk(ask: () => Promise<RestAnswer>): Promise<RestAnswer["body"]> {
  for (let turn = 1;; turn++) {
    const { status, body } = await ask();
    if (status < 300) return body;
    if (!body.error.retryable || turn === 40) throw new Error(`${status}: ${JSON.stringify(body)}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
