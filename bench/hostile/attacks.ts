/** What is done to the node: one entry is one row of the results. */

export type Attack =
  & { name: string }
  & (
    /** Messages without end, 60 kB a fragment; who is cut comes again until all has been sent. */
    | { is: "fragments"; sockets: number; signedIn: boolean; mib: number; forMs: number }
    /** A member that never reads while so much is published to its room; who is closed comes again. */
    | { is: "deaf"; mib: number }
    /** Requests that are begun and never finished; who is cut comes again. */
    | { is: "handshakes"; count: number; forMs: number }
    /** Sockets that never sign in; who is closed comes again. */
    | { is: "anonymous"; count: number; forMs: number }
    /** Commands without waiting for anything; who is closed comes again. */
    | { is: "commands"; count: number; forMs: number }
    /** Joining and leaving, 50 under way; who is closed comes again. */
    | { is: "joins"; forMs: number }
  );

const FLOOD_MIB = 600;
const FOR_MS = 30_000;

export const ATTACKS: readonly Attack[] = [
  ...[true, false].flatMap((signedIn) =>
    [1, 20, 200].map((sockets): Attack => ({
      name: `fragments from ${sockets} ${signedIn ? "" : "anonymous "}socket${sockets === 1 ? "" : "s"}`,
      ...{ is: "fragments", sockets, signedIn, mib: FLOOD_MIB, forMs: FOR_MS },
    }))
  ),
  { name: "2,000 handshakes never finished", is: "handshakes", count: 2_000, forMs: FOR_MS },
  { name: "500 sockets never sign in", is: "anonymous", count: 500, forMs: FOR_MS },
  { name: "100,000 commands at once, again and again", is: "commands", count: 100_000, forMs: FOR_MS },
  { name: "joins and leaves, again and again", is: "joins", forMs: FOR_MS },
  // the last: Postgres is busy with what was published for a while
  { name: "one never reads, 250 MiB published to its room", is: "deaf", mib: 250 },
];

export interface AttackerAsk {
  attack: Attack;
  port: number;
  /** Of users that are not the innocents. */
  tokens: string[];
  /** Before the last number of the addresses that it comes from. */
  network: string;
  /** Where tokens[0] is a member, or may be. */
  roomId: string;
}

/** How one of its connections ended, as the attacker sees it. */
export interface CulpritEnd {
  /** The close code, or `reset`. */
  how: string;
  /** From its first act until it had been told or cut, and until it was gone. */
  toldMs: number;
  goneMs: number;
}

export interface AttackResult {
  ends: CulpritEnd[];
  /** Connections that nobody ended until the attack was over. */
  left: number;
  /** Tries that were refused at the door, by status. */
  refused: Record<string, number>;
  sentBytes: number;
}
