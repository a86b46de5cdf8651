/**
 * Users: what the newest token says of its bearer is projected into Postgres, once per token and not once per
 * request. A lost course ends what its bearer heard of its rooms; a regained one gives the memberships back.
 */
import type { Hub } from "../delivery/hub.ts";
import type { NearReads } from "../delivery/near_reads.ts";
import type { Database } from "../store/database.ts";
import type { ChosenStatus } from "../store/presence.ts";
import { type Claims, isSynced, syncUser } from "../store/users.ts";
import type { Actor } from "./actor.ts";

const REMEMBERED_MAX = 20_000;

export class Users {
  readonly #db: Database;
  readonly #near: NearReads;
  readonly #hub: Hub;
  readonly #maxRoomMembers: number;
  /** The newest token of each user that has been projected. */
  readonly #seen = new Map<string, { issuedAt: number; claims: string }>();

  constructor(uses: { db: Database; near: NearReads; hub: Hub; maxRoomMembers: number }) {
    this.#db = uses.db;
    this.#near = uses.near;
    this.#maxRoomMembers = uses.maxRoomMembers;
    this.#hub = uses.hub;
  }

  /** Asks Postgres in any case: a socket needs to know where its inbox stands. */
  async project(actor: Actor): Promise<{ inboxSeq: number; epoch: string; status: ChosenStatus }> {
    const { changes, inboxSeq, epoch, status } = await syncUser(this.#db, this.#toClaims(actor));
    this.#hub.publish(changes);
    this.#remember(actor);
    return { inboxSeq, epoch, status };
  }

  /** A token as new as the newest asks nothing, and an older one would change nothing. */
  async seen(actor: Actor): Promise<void> {
    const known = this.#seen.get(actor.userId);
    const issuedAt = actor.issuedAt.getTime();
    const isNews = known === undefined || issuedAt > known.issuedAt ||
      (issuedAt === known.issuedAt && claimsOf(actor) !== known.claims);
    if (!isNews) return;
    const projecting = this.project(actor);
    projecting.catch(() => {}); // told below, or tried again with the next request
    // where another node has done it, nobody waits for the primary, which may be far
    if (!await this.#near.hint((from) => isSynced(from, this.#toClaims(actor)))) await projecting;
  }

  #toClaims({ userId, name, avatarUrl, role, courses, issuedAt }: Actor): Claims {
    const limit = this.#maxRoomMembers;
    return { userId, name, avatarUrl, role, courses, issuedAt: issuedAt.toISOString(), limit };
  }

  #remember(actor: Actor): void {
    const issuedAt = actor.issuedAt.getTime();
    if (issuedAt < (this.#seen.get(actor.userId)?.issuedAt ?? 0)) return;
    this.#seen.delete(actor.userId);
    this.#seen.set(actor.userId, { issuedAt, claims: claimsOf(actor) });
    if (this.#seen.size > REMEMBERED_MAX) {
      for (const oldest of this.#seen.keys()) {
        this.#seen.delete(oldest);
        break;
      }
    }
  }
}

const claimsOf = (actor: Actor): string =>
  JSON.stringify([actor.name, actor.avatarUrl, actor.role, actor.courses]);
