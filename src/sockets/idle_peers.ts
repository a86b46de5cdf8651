/**
 * Idle peers: connections that have asked for something and now only stay. The runtime keeps them for as long as they
 * like; of one address we keep so many. Who has been idle longest goes first, and nobody who asked a short time ago: a
 * request may still be under way (a poll takes 25 s), and a client that finds its connection gone makes another.
 */
import { addressKey } from "./caller.ts";
import type { Peer } from "./peers.ts";

export const IDLE_PEERS_MAX = 1_000;
const IDLE_AFTER_MS = 30_000;

/** Of `peers`, none of which is a socket, those that are too many. */
export function tooManyIdle(peers: Iterable<Peer>, now: number): Peer[] {
  const addresses = new Map<string, Peer[]>();
  for (const peer of peers) {
    if (peer.askedAt === undefined) continue;
    const address = addressKey(peer.key.slice(0, peer.key.lastIndexOf("|")));
    const known = addresses.get(address);
    if (known === undefined) addresses.set(address, [peer]);
    else known.push(peer);
  }
  return [...addresses.values()].flatMap((ofOne) => {
    const idle = ofOne.filter(({ askedAt = now }) => now - askedAt >= IDLE_AFTER_MS)
      .sort((a, b) => (a.askedAt ?? 0) - (b.askedAt ?? 0));
    return idle.slice(0, Math.max(0, ofOne.length - IDLE_PEERS_MAX));
  });
}
